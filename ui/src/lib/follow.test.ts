import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../api/status';
import { Position, follow } from './follow';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a position knows again what was told, and nothing else', () => {
  const position = new Position(0);
  expect(position.resume()).toBe('');
  const told = (time: string, text: string) => position.isNew(time, `${time} ${text}`);
  expect(told('2026-01-01T00:00:01.000000001Z', 'a')).toBe(true);
  expect(told('2026-01-01T00:00:01.000000001Z', 'a')).toBe(true);
  expect(position.resume()).toBe('2026-01-01T00:00:01.000Z');
  const again = ['a', 'a', 'a', 'b'].map((text) => told('2026-01-01T00:00:01.000000001Z', text));
  expect(again).toEqual([false, false, true, true]);
});

test('lines of a slow source are asked for again', () => {
  const position = new Position(10_000);
  expect(position.isNew('2026-01-01T00:01:00Z', 'quick')).toBe(true);
  expect(position.resume()).toBe('2026-01-01T00:00:50.000Z');
  expect([position.isNew('2026-01-01T00:00:55Z', 'slow'), position.isNew('2026-01-01T00:01:00Z', 'quick')]).toEqual([true, false]);
});

/** Runs through answers; tells what was taken, which states there were, and the pauses between requests. */
async function run(answers: (() => Response)[], final: number[] = [403]) {
  const ending = new AbortController();
  const [taken, states, times]: [string[], string[], number[]] = [[], [], []];
  const running = follow(
    {
      open: () => {
        times.push(Date.now());
        const next = answers.shift();
        if (next) return Promise.resolve().then(next);
        ending.abort();
        return Promise.reject(new Error('over'));
      },
      take: (lines) => taken.push(...lines),
      state: (open, error) => states.push(open ? 'open' : `over ${error?.code ?? ''}`.trim()),
      final,
    },
    ending.signal,
  );
  await vi.advanceTimersByTimeAsync(1_000_000);
  await running;
  return { taken, states, pauses: times.slice(1).map((time, index) => time - times[index]!) };
}

const refusal = (code: number) => () => {
  throw new ApiError({ message: 'no', code });
};

test('a stream that ends is no longer live, and is opened again', async () => {
  const { taken, states } = await run([() => new Response('a\nb\n'), () => new Response('c\n')]);
  expect(taken).toEqual(['a', 'b', 'c']);
  expect(states).toEqual(['open', 'over', 'open', 'over']);
});

test('pauses grow to a bound, and begin anew with the first line', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const { pauses } = await run([...Array.from({ length: 8 }, () => refusal(503)), () => new Response('a\n'), refusal(503)]);
  expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 500, 1000]);
});

test('a refusal for good ends it', async () => {
  const { states, pauses } = await run([refusal(400), refusal(403), () => new Response('never\n')]);
  expect(states).toEqual(['over 400', 'over 403']);
  expect(pauses).toHaveLength(1);
});
