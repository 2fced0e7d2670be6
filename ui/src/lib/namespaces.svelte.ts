// Which namespaces there are to choose from. Who may not list them types one; those are remembered.

const KEPT = 'sampan.namespaces';
const MOST = 12;

class Remembered {
  list = $state<string[]>(read());

  add(name: string): void {
    if (!name || this.list.includes(name)) return;
    this.list = [name, ...this.list].slice(0, MOST);
    localStorage.setItem(KEPT, JSON.stringify(this.list));
  }
}

function read(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEPT) ?? '[]');
    return Array.isArray(kept) ? kept.filter((one) => typeof one === 'string') : [];
  } catch {
    return [];
  }
}

export const remembered = new Remembered();

/** The namespace that a service account lives in: where its rights most likely are. */
export function homeOf(user: string): string {
  return /^system:serviceaccount:([^:]+):/.exec(user)?.[1] ?? '';
}
