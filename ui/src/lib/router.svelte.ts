// Where the user is: the path below the base and the query, both in the address bar, so that every view is a link.

import { BASE } from '../api/http';

class Router {
  path = $state(here());
  query = $state.raw(new URLSearchParams(location.search));

  constructor() {
    addEventListener('popstate', () => this.read());
  }

  /** The path's segments, unescaped. */
  get segments(): string[] {
    return this.path.split('/').filter(Boolean).map(decodeURIComponent);
  }

  go(to: string, replace = false): void {
    const target = to.startsWith(BASE) ? to : href(to);
    if (replace) history.replaceState(null, '', target);
    else history.pushState(null, '', target);
    const moved = this.path !== here();
    this.read();
    if (moved && !replace) scrollTo(0, 0);
  }

  /** Changes one part of the query; an empty value removes it. */
  set(name: string, value: string): void {
    const query = new URLSearchParams(this.query);
    if (value) query.set(name, value);
    else query.delete(name);
    const text = query.toString();
    this.go(`${BASE}${this.path}${text ? `?${text}` : ''}`, true);
  }

  private read(): void {
    this.path = here();
    this.query = new URLSearchParams(location.search);
  }
}

function here(): string {
  return location.pathname.slice(BASE.length) || '/';
}

export const router = new Router();

/** The address of a view; the chosen namespace goes along. */
export function href(path: string, query: Record<string, string> = {}): string {
  const all = new URLSearchParams(query);
  const namespace = router.query.get('ns');
  if (namespace && !all.has('ns')) all.set('ns', namespace);
  const text = all.toString();
  return `${BASE}${path}${text ? `?${text}` : ''}`;
}

export function objectPath(resource: string, namespace: string | undefined, name: string, tab = ''): string {
  const parts = ['k', resource, namespace || '-', name, tab].filter((part) => part !== '');
  return `/${parts.map(encodeURIComponent).join('/')}`;
}

/** Links within the UI change the view without loading the page. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest?.('a[href]');
  if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute('download')) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(`${BASE}/`)) return;
  event.preventDefault();
  router.go(url.pathname + url.search);
}
