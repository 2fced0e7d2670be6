// What of a browser the unit tests need: a store that all tabs share, an address, and a document.

const kept = new Map<string, string>();
const store = {
  getItem: (key: string) => kept.get(key) ?? null,
  setItem: (key: string, value: string) => void kept.set(key, value),
  removeItem: (key: string) => void kept.delete(key),
};
const address = { hash: '', pathname: '/dashboard/', search: '', host: 'sampan:6443', reload: () => {} };

Object.assign(globalThis, {
  localStorage: store,
  location: address,
  history: { replaceState: () => (address.hash = '') },
  document: { hidden: false, documentElement: { dataset: {} }, querySelector: () => null, addEventListener: () => {} },
  addEventListener: () => {},
});
// Of Node's own since version 21, and then not to be assigned.
Object.defineProperty(globalThis, 'navigator', { value: { languages: ['en'] }, configurable: true });
