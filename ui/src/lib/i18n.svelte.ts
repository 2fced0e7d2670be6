// The UI's words in the user's language: one table per language, all with the same keys; English is always there.

import { en } from '../messages/en';

export type Key = keyof typeof en;
export type Messages = Record<Key, string>;
export type Code = 'en' | 'ja' | 'zh';

export const LANGUAGES: Record<Code, string> = { en: 'English', ja: '日本語', zh: '简体中文' };
const KEPT = 'sampan.language';

const LOADERS: Record<Code, () => Promise<Messages>> = {
  en: () => Promise.resolve(en),
  ja: async () => (await import('../messages/ja')).ja,
  zh: async () => (await import('../messages/zh')).zh,
};

function preferred(): Code {
  const kept = localStorage.getItem(KEPT);
  const wishes = kept ? [kept] : navigator.languages;
  for (const wish of wishes) {
    const code = wish.slice(0, 2);
    if (code in LANGUAGES) return code as Code;
  }
  return 'en';
}

class Language {
  code = $state<Code>('en');
  messages = $state.raw<Messages>(en);
  readonly ready: Promise<void>;

  constructor() {
    this.ready = this.load(preferred());
  }

  async choose(code: Code): Promise<void> {
    localStorage.setItem(KEPT, code);
    await this.load(code);
  }

  private async load(code: Code): Promise<void> {
    this.messages = await LOADERS[code]();
    this.code = code;
    document.documentElement.lang = code;
  }
}

export const language = new Language();

/** The words of a key; `{name}` in them is replaced. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return language.messages[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
