import { expect, test } from 'vitest';
import { levelOf, merge, parseLine, shortNames } from './logs';

const line = (time: string, id: number) => ({ id, time, text: `${id}`, source: 0 });

test('a line is its time and its text', () => {
  expect(parseLine('2026-01-01T00:00:00.5Z hello there', 1, 7)).toEqual({ id: 7, time: '2026-01-01T00:00:00.5Z', text: 'hello there', source: 1 });
  expect(parseLine('no time here', 0, 1).text).toBe('no time here');
});

test('lines of several sources are in the order of time, whatever their digits', () => {
  const old = [line('2026-01-01T00:00:00.1Z', 1), line('2026-01-01T00:00:00.300000001Z', 2)];
  const merged = merge(old, [line('2026-01-01T00:00:00.25Z', 3), line('2026-01-01T00:00:01Z', 4), line('2026-01-01T00:00:00.3Z', 5)], 10);
  expect(merged.map((one) => one.id)).toEqual([1, 3, 5, 2, 4]);
});

test('equal times keep the order in which they came', () => {
  const time = '2026-01-01T00:00:00Z';
  expect(merge([line(time, 1)], [line(time, 2), line(time, 3)], 10).map((one) => one.id)).toEqual([1, 2, 3]);
});

test('the oldest go when there are too many', () => {
  expect(merge([line('2026-01-01T00:00:00Z', 1)], [line('2026-01-01T00:00:01Z', 2), line('2026-01-01T00:00:02Z', 3)], 2).map((one) => one.id)).toEqual([2, 3]);
});

test('levels', () => {
  expect([levelOf('E0101 ERROR boom'), levelOf('{"level":"warning"}'), levelOf('all fine')]).toEqual(['bad', 'warn', '']);
});

test('names of pods are told apart by their ends', () => {
  expect(shortNames(['web-954-abc', 'web-954-abd'])).toEqual(['abc', 'abd']);
  expect(shortNames(['web-954-abc', 'web-955-abc'])).toEqual(['954-abc', '955-abc']);
  expect(shortNames(['web', 'db'])).toEqual(['web', 'db']);
  expect(shortNames(['web-0'])).toEqual(['web-0']);
});
