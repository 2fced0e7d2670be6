import { afterEach, expect, test, vi } from 'vitest';
import { Lines, watch, type WatchEvent } from './watch';

afterEach(() => vi.restoreAllMocks());

const bytes = (text: string) => new TextEncoder().encode(text);
const event = (type: string, name: string, version: string, annotations?: object) => `${JSON.stringify({ type, object: { metadata: { name, resourceVersion: version, annotations } } })}\n`;
const END = { 'k8s.io/initial-events-end': 'true' };

test('lines are whole, whatever the pieces', () => {
  const lines = new Lines();
  const text = bytes('{"a":"é"}\n{"b"');
  expect(lines.push(text.slice(0, 6))).toEqual([]);
  expect(lines.push(text.slice(6))).toEqual(['{"a":"é"}']);
  expect(lines.push(bytes(':1}\n\n'))).toEqual(['{"b":1}']);
});

/** Answers one response after another; the last ends the watch. */
async function run(responses: (() => Response)[]) {
  const told: string[] = [];
  const asked: URLSearchParams[] = [];
  const ending = new AbortController();
  vi.stubGlobal('fetch', (url: string) => {
    asked.push(new URL(url, 'https://x').searchParams);
    const next = responses.shift();
    if (!next) {
      ending.abort();
      return Promise.reject(new DOMException('over', 'AbortError'));
    }
    return Promise.resolve(next());
  });
  vi.spyOn(Math, 'random').mockReturnValue(-0.5);
  await watch(
    {
      path: '/api/v1/pods',
      accept: 'application/json',
      restarted: () => told.push('restarted'),
      event: (one: WatchEvent) => told.push(`${one.type} ${one.object.metadata.name}`),
      synced: () => told.push('synced'),
      failed: (error) => error && told.push(`failed ${error.code}`),
    },
    ending.signal,
  );
  return { told, asked };
}

test('goes on where it broke off, and anew behind 410', async () => {
  const { told, asked } = await run([
    () => new Response(event('ADDED', 'a', '3') + event('BOOKMARK', '', '5', END) + event('MODIFIED', 'a', '6')),
    () => new Response(event('ADDED', 'b', '7') + `${JSON.stringify({ type: 'ERROR', object: { code: 410, message: 'gone' } })}\n`),
    () => new Response(event('ADDED', 'b', '7') + event('BOOKMARK', '', '9', END)),
  ]);
  expect(told).toEqual(['restarted', 'ADDED a', 'synced', 'MODIFIED a', 'ADDED b', 'restarted', 'ADDED b', 'synced']);
  expect(asked.map((one) => one.get('resourceVersion'))).toEqual([null, '6', null, '9']);
  expect(asked.map((one) => one.get('sendInitialEvents'))).toEqual(['true', null, 'true', null]);
});

test('what broke off before all was told begins anew', async () => {
  const { asked } = await run([() => new Response(event('ADDED', 'a', '3'))]);
  expect(asked.map((one) => one.get('resourceVersion'))).toEqual([null, null]);
});

test('a refusal is final', async () => {
  const { told, asked } = await run([() => new Response(JSON.stringify({ message: 'no' }), { status: 403 })]);
  expect(told).toEqual(['restarted', 'failed 403']);
  expect(asked).toHaveLength(1);
});
