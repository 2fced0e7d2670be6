import { afterEach, beforeEach, expect, test, vi } from 'vitest';

const KEY = 'sampan.key';
type Answer = [number, object];
let answers: Record<string, Answer>;
let asked: string[];
let reloads = 0;
location.reload = () => void (reloads += 1);

let events: EventTarget;

/** A tab that is opened anew; the one before is closed. */
async function tab(hash = '') {
  vi.resetModules();
  vi.clearAllTimers();
  events = new EventTarget();
  vi.stubGlobal('addEventListener', events.addEventListener.bind(events));
  location.hash = hash;
  const { session } = await import('./session.svelte');
  return session;
}

beforeEach(() => {
  vi.useFakeTimers();
  [asked, answers, reloads] = [[], {}, 0];
  localStorage.removeItem(KEY);
  vi.stubGlobal('fetch', async (url: string, init: RequestInit = {}) => {
    const what = `${init.method ?? 'GET'} ${url.replace('/dashboard', '')}`;
    asked.push(typeof init.body === 'string' ? `${what} ${init.body}` : what);
    const [status, body] = answers[what] ?? [404, { message: 'none' }];
    return new Response(JSON.stringify(body), { status });
  });
});
afterEach(() => void vi.useRealTimers());

const ANNA: Answer = [200, { user: 'anna', groups: [], namespace: '' }];
const OVER: Answer = [401, { message: 'over' }];
const own = () => asked.filter((one) => one.includes('/session'));

test('a link logs in where nobody is', async () => {
  answers['POST /session'] = [201, { user: 'anna', groups: [], namespace: '', key: 'k1' }];
  const session = await tab('#code=abc');
  await session.begin();
  expect([session.phase, session.who?.user, localStorage.getItem(KEY)]).toEqual(['in', 'anna', 'k1']);
  expect(own()).toEqual(['POST /session {"code":"abc"}']);
  expect(location.hash).toBe('');
});

test('a link does not change who is logged in before he is asked', async () => {
  localStorage.setItem(KEY, 'k1');
  answers['GET /session'] = ANNA;
  answers['POST /session'] = [201, { user: 'mallory', groups: [], namespace: '', key: 'k2' }];
  const session = await tab('#code=abc');
  await session.begin();
  expect(own()).toEqual(['GET /session']);
  expect([session.phase, session.who?.user, session.offered]).toEqual(['in', 'anna', 'abc']);
  await session.logIn({ code: session.offered });
  expect([localStorage.getItem(KEY), session.offered, reloads]).toEqual(['k2', '', 1]);
});

test('a link that is no good leaves a session alone', async () => {
  localStorage.setItem(KEY, 'k1');
  answers['GET /session'] = ANNA;
  answers['POST /session'] = OVER;
  const session = await tab('#code=abc');
  await session.begin();
  await session.logIn({ code: 'abc' });
  expect([session.phase, session.who?.user, localStorage.getItem(KEY)]).toEqual(['in', 'anna', 'k1']);
});

test('a link in place of a session that is over logs in at once', async () => {
  localStorage.setItem(KEY, 'old');
  answers['GET /session'] = OVER;
  answers['POST /session'] = [201, { user: 'anna', groups: [], namespace: '', key: 'k1' }];
  const session = await tab('#code=abc');
  await session.begin();
  expect([session.phase, localStorage.getItem(KEY)]).toEqual(['in', 'k1']);
});

test('another tab that logs in or out is followed', async () => {
  localStorage.setItem(KEY, 'k1');
  answers['GET /session'] = ANNA;
  const session = await tab();
  await session.begin();
  const told = (key: string) => events.dispatchEvent(Object.assign(new Event('storage'), { key }));
  told('sampan.theme');
  told(KEY);
  expect(reloads, 'nothing changed').toBe(0);
  localStorage.setItem(KEY, 'k2');
  told(KEY);
  expect(reloads).toBeGreaterThan(0);
});

test('the end of one session does not take the key of the next', async () => {
  localStorage.setItem(KEY, 'k1');
  answers['GET /session'] = ANNA;
  const session = await tab();
  await session.begin();
  localStorage.setItem(KEY, 'k2');
  answers['DELETE /session'] = [200, {}];
  await session.logOut();
  expect(localStorage.getItem(KEY)).toBe('k2');
});

test('a server that is away ends no session', async () => {
  localStorage.setItem(KEY, 'k1');
  answers['GET /session'] = [503, { message: 'away' }];
  const session = await tab();
  await session.begin();
  expect([session.phase, session.reason, localStorage.getItem(KEY)]).toEqual(['out', 'login.unreachable', 'k1']);
});

test('use is what the user does, told once a minute', async () => {
  localStorage.setItem(KEY, 'k1');
  answers['GET /session'] = ANNA;
  answers['POST /session/use'] = [200, {}];
  const session = await tab();
  await session.begin();
  const uses = () => asked.filter((one) => one === 'POST /session/use').length;
  const act = async (name: string, ms: number) => {
    await vi.advanceTimersByTimeAsync(ms);
    events.dispatchEvent(new Event(name));
    await vi.advanceTimersByTimeAsync(0);
  };
  await vi.advanceTimersByTimeAsync(600_000);
  expect(uses(), 'an open page is no use').toBe(0);
  await act('keydown', 0);
  await act('pointerdown', 1000);
  expect(uses()).toBe(1);
  await act('wheel', 60_000);
  expect(uses()).toBe(2);
});

test('a page that nobody uses finds out that its session is over', async () => {
  localStorage.setItem(KEY, 'k1');
  answers['GET /session'] = ANNA;
  const session = await tab();
  await session.begin();
  answers['GET /session'] = OVER;
  await vi.advanceTimersByTimeAsync(60_000);
  expect([session.phase, session.reason, localStorage.getItem(KEY)]).toEqual(['out', 'login.ended', null]);
});
