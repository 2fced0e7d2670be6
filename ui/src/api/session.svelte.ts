// Who is logged in.
//
// A browser has one session, whatever its tabs: a tab whose session another one ended or replaced begins anew.

import { discovery } from './discovery.svelte';
import { endFeeds } from './feeds.svelte';
import { KEY, forgetSessionKey, keepSessionKey, othersSession, ownRequest, sessionKey, whenSessionEnds } from './http';
import { asApiError } from './status';
import { rights } from '../lib/rights.svelte';
import { t } from '../lib/i18n.svelte';
import { toasts } from '../lib/toasts.svelte';

interface Who {
  user: string;
  groups: string[];
  namespace: string;
}

/** A page that nobody uses finds out within this time that its session is over. */
const ASK_MS = 60_000;
/** That somebody is there is told at most so often. */
const TELL_MS = 60_000;
const USES = ['pointerdown', 'keydown', 'wheel'];

class Session {
  who = $state.raw<Who | undefined>(undefined);
  phase = $state<'asking' | 'out' | 'in'>('asking');
  /** Why nobody is logged in, if there is anything to say. */
  reason = $state('');
  /** A login link's code that was opened where somebody is logged in: he is asked first. */
  offered = $state('');
  private told = 0;

  constructor() {
    whenSessionEnds(() => this.ended('login.ended'));
    addEventListener('storage', (event) => {
      if ((event.key === KEY || event.key === null) && othersSession()) location.reload();
    });
    // A link that is opened in a tab of the dashboard changes only what stands behind `#`.
    addEventListener('hashchange', () => void this.begin());
    for (const use of USES) addEventListener(use, () => void this.used(), { capture: true, passive: true });
    setInterval(() => void this.ask(), ASK_MS);
  }

  /** A login link's code stands behind `#`; otherwise the browser may still have a session. */
  async begin(): Promise<void> {
    const code = /^#code=([\w-]+)$/.exec(location.hash)?.[1] ?? '';
    if (code) history.replaceState(null, '', location.pathname + location.search);
    else if (this.phase === 'in') return;
    const reason = await this.ask();
    if (!code) {
      if (reason !== undefined) this.ended(reason);
    } else if (reason === undefined) {
      // Whose code it is only the link's maker knows: it may be another's, who would like to see what is typed here.
      this.offered = code;
    } else {
      await this.logIn({ code });
    }
  }

  /** Whether the session lives; if not, why: nothing to say where there was none. */
  private async ask(): Promise<string | undefined> {
    // A tab that slept may have missed the event.
    if (this.phase === 'in' && othersSession()) location.reload();
    if (!sessionKey()) return '';
    try {
      const answer = await ownRequest('/session');
      if (this.phase !== 'in') this.entered((await answer.json()) as Who);
      return undefined;
    } catch (error) {
      const over = asApiError(error).code === 401;
      if (over && this.phase === 'in') this.ended('login.ended');
      return over ? '' : 'login.unreachable';
    }
  }

  /** Somebody is there: the server ends sessions that nobody uses, and a page asks by itself. */
  async used(): Promise<void> {
    const now = Date.now();
    if (this.phase !== 'in' || now - this.told < TELL_MS) return;
    this.told = now;
    try {
      await ownRequest('/session/use', { method: 'POST' });
    } catch (error) {
      if (asApiError(error).code === 401) this.ended('login.ended');
      else this.told = 0;
    }
  }

  async logIn(by: { code: string } | { token: string } | Record<string, never>): Promise<void> {
    this.offered = '';
    const replaces = this.phase === 'in';
    try {
      const answer = await ownRequest('/session', {
        method: 'POST',
        body: JSON.stringify(by),
        headers: { 'content-type': 'application/json' },
      });
      const opened = (await answer.json()) as Who & { key: string };
      keepSessionKey(opened.key);
      // Nothing of what another user saw is left in a page that begins anew.
      if (replaces) location.reload();
      else this.entered(opened);
    } catch (error) {
      const { code } = asApiError(error);
      const refused = 'code' in by ? 'login.badLink' : 'token' in by ? 'login.badToken' : 'login.noCertificate';
      const reason = code === 401 ? refused : 'login.unreachable';
      if (replaces) toasts.complain(new Error(t(reason)));
      else this.ended(reason);
    }
  }

  async logOut(): Promise<void> {
    try {
      await ownRequest('/session', { method: 'DELETE' });
      this.ended('');
    } catch (error) {
      // Without its key nobody can use the session, which ends on the server in time.
      forgetSessionKey();
      this.ended(asApiError(error).code === 401 ? '' : 'login.unreachable');
    }
  }

  private entered(who: Who): void {
    this.who = who;
    this.reason = '';
    this.phase = 'in';
    this.told = Date.now();
    rights.forget();
    void discovery.load();
  }

  private ended(reason: string): void {
    endFeeds();
    // A server that is away for a moment ends no session.
    if (reason !== 'login.unreachable') forgetSessionKey();
    this.who = undefined;
    this.reason = reason;
    this.phase = 'out';
  }
}

export const session = new Session();
