import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../api/status';
import { podLogs, type Scope } from './podlogs.svelte';

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const SCOPE: Scope = { container: 'main', previous: false, tail: 300 };
const pod = (name: string, uid = name) => ({ name, uid });
const at = (second: number, text: string) => `2026-01-01T00:00:${String(second).padStart(2, '0')}Z ${text}\n`;

/** One stream that the UI has asked for: what it is told, and how it ends, is the test's to say. */
class Asked {
  private writer!: ReadableStreamDefaultController<Uint8Array>;
  readonly response: Response;
  readonly pod: string;
  readonly query: Record<string, string>;
  readonly signal: AbortSignal;

  constructor(name: string, query: URLSearchParams, signal: AbortSignal) {
    this.pod = name;
    this.query = Object.fromEntries(query);
    this.signal = signal;
    this.response = new Response(new ReadableStream<Uint8Array>({ start: (writer) => void (this.writer = writer) }));
    signal.addEventListener('abort', () => this.breaks());
  }

  tells(text: string) {
    this.writer.enqueue(new TextEncoder().encode(text));
  }

  ends() {
    this.writer.close();
  }

  breaks() {
    this.writer.error(new TypeError('network error'));
  }
}

/** Logs over streams that the test holds; refusals are answered first. */
function start() {
  const asked: Asked[] = [];
  const refusals: number[] = [];
  const logs = podLogs((name, query, signal) => {
    const code = refusals.shift();
    if (code) return Promise.reject(new ApiError({ message: `refused with ${code}`, code }));
    const one = new Asked(name, query, signal);
    asked.push(one);
    return Promise.resolve(one.response);
  });
  const passes = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
  const texts = () => logs.lines.map((line) => `${logs.sources[line.source]} ${line.text}`);
  return { logs, asked, refusals, passes, texts };
}

test('three pods are followed at once, their lines in the order of time', async () => {
  const { logs, asked, passes, texts } = start();
  logs.show(['a', 'b', 'c'].map((name) => pod(name)), SCOPE);
  await passes(0);
  expect(asked.map((one) => one.pod)).toEqual(['a', 'b', 'c']);
  expect(asked[0]!.query).toEqual({ container: 'main', timestamps: 'true', follow: 'true', tailLines: '300' });
  asked[2]!.tells(at(3, 'third'));
  asked[0]!.tells(at(1, 'first'));
  asked[1]!.tells(at(2, 'second'));
  await passes(200);
  expect(texts()).toEqual(['a first', 'b second', 'c third']);
  asked[0]!.tells(at(4, 'fourth'));
  await passes(200);
  expect(texts().at(-1)).toBe('a fourth');
  expect(logs.trouble).toBe('');
});

test('a stream that breaks off goes on where it was, and tells nothing twice', async () => {
  const { logs, asked, passes, texts } = start();
  logs.show([pod('a'), pod('b')], SCOPE);
  await passes(0);
  asked[0]!.tells(at(1, 'one') + at(2, 'two'));
  asked[1]!.tells(at(2, 'of another'));
  await passes(200);
  asked[0]!.breaks();
  await passes(0);
  expect(logs.trouble).toContain('network error');
  await passes(1000);
  expect(asked.map((one) => one.pod)).toEqual(['a', 'b', 'a']);
  expect(asked[2]!.query['sinceTime']).toBe('2026-01-01T00:00:02.000Z');
  expect(logs.trouble).toBe('');
  asked[2]!.tells(at(2, 'two') + at(2, 'two') + at(3, 'three'));
  await passes(200);
  // The same text at the same time may have been written twice.
  expect(texts()).toEqual(['a one', 'a two', 'b of another', 'a two', 'a three']);
});

test('a container that ends and is made anew is followed on', async () => {
  const { logs, asked, refusals, passes, texts } = start();
  logs.show([pod('a')], SCOPE);
  await passes(0);
  asked[0]!.tells(at(1, 'last words'));
  await passes(200);
  refusals.push(400);
  asked[0]!.ends();
  await passes(600);
  expect(logs.trouble).toBe('refused with 400');
  await passes(2000);
  asked[1]!.tells(at(1, 'last words') + at(9, 'new life'));
  await passes(200);
  expect(texts()).toEqual(['a last words', 'a new life']);
  expect(logs.trouble).toBe('');
});

test('a pod that goes is asked for no more, and what it wrote stays', async () => {
  const { logs, asked, refusals, passes, texts } = start();
  logs.show([pod('a'), pod('b')], SCOPE);
  await passes(0);
  logs.show([pod('b')], SCOPE);
  expect(asked[0]!.signal.aborted).toBe(false);
  asked[0]!.tells(at(1, 'good bye'));
  refusals.push(404);
  asked[0]!.ends();
  await passes(100_000);
  expect([asked.length, refusals.length]).toEqual([2, 0]);
  expect([texts(), logs.trouble]).toEqual([['a good bye'], '']);
});

test('another pod of the same name is followed too', async () => {
  const { logs, asked, refusals, passes, texts } = start();
  logs.show([pod('db-0', 'one')], SCOPE);
  await passes(0);
  asked[0]!.tells(at(1, 'first life'));
  refusals.push(404);
  asked[0]!.ends();
  await passes(10_000);
  logs.show([pod('db-0', 'two')], SCOPE);
  await passes(0);
  asked[1]!.tells(at(20, 'second life'));
  await passes(200);
  expect(texts()).toEqual(['db-0 first life', 'db-0 second life']);
  expect(asked[1]!.query['tailLines']).toBe('300');
});

test('a pod is not read twice that comes while the stream of its namesake waits', async () => {
  const { logs, asked, passes, texts } = start();
  logs.show([pod('db-0', 'one')], SCOPE);
  await passes(0);
  asked[0]!.ends();
  await passes(0);
  logs.show([pod('db-0', 'two')], SCOPE);
  await passes(100_000);
  expect(asked).toHaveLength(2);
  asked[1]!.tells(at(20, 'once'));
  await passes(200);
  expect(texts()).toEqual(['db-0 once']);
});

test('who may not read is told so, and asks no more', async () => {
  const { logs, asked, refusals, passes } = start();
  refusals.push(403);
  logs.show([pod('a')], SCOPE);
  await passes(100_000);
  expect([logs.trouble, asked.length]).toEqual(['refused with 403', 0]);
});

test('another container begins anew; what the last instance wrote is read once', async () => {
  const { logs, asked, passes, texts } = start();
  logs.show([pod('a')], SCOPE);
  await passes(0);
  asked[0]!.tells(at(1, 'of main'));
  await passes(200);
  logs.show([pod('a')], { ...SCOPE, container: 'side', previous: true });
  await passes(0);
  expect(asked[0]!.signal.aborted).toBe(true);
  expect(texts()).toEqual([]);
  expect(asked[1]!.query).toMatchObject({ container: 'side', follow: 'false', previous: 'true' });
  asked[1]!.tells(at(1, 'what was'));
  asked[1]!.ends();
  await passes(100_000);
  expect([asked.length, texts(), logs.trouble]).toEqual([2, ['a what was'], '']);
});

test('nothing is asked for once the page is left', async () => {
  const { logs, asked, passes } = start();
  logs.show([pod('a'), pod('b')], SCOPE);
  await passes(0);
  logs.end();
  await passes(100_000);
  expect(asked.map((one) => one.signal.aborted)).toEqual([true, true]);
});
