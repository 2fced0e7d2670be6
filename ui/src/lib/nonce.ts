// The nonce by which the page's policy lets the terminal and the editor bring style sheets that they make themselves.

const NONCE = document.querySelector<HTMLMetaElement>('meta[name=style-nonce]')?.content ?? '';

export function styleNonce(): string {
  return NONCE;
}

/** Style elements that are made while `work` runs carry the nonce: the terminal knows of none. */
export function withNonce(work: () => void): void {
  const original = document.createElement.bind(document);
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    const made = original(name, options);
    if (name.toLowerCase() === 'style') made.nonce = NONCE;
    return made;
  }) as typeof document.createElement;
  try {
    work();
  } finally {
    // What shadows the prototype's method goes; the method itself was never touched.
    delete (document as { createElement?: unknown }).createElement;
  }
}
