import { describe, expect, test } from 'vitest';
import { age, bytes, cores, percent, quantity } from './format';

const NOW = Date.parse('2026-01-10T00:00:00Z');

describe('age', () => {
  test.each([
    ['2026-01-10T00:00:00Z', '0s'],
    ['2026-01-09T23:59:18Z', '42s'],
    ['2026-01-09T23:54:30Z', '5m30s'],
    ['2026-01-09T23:30:30Z', '29m'],
    ['2026-01-09T20:30:00Z', '3h30m'],
    ['2026-01-06T20:00:00Z', '3d4h'],
    ['2025-12-01T00:00:00Z', '40d'],
    ['2023-12-01T00:00:00Z', '2y41d'],
    ['2026-01-10T00:01:00Z', '0s'],
  ])('%s is %s', (from, wanted) => expect(age(from, NOW)).toBe(wanted));
  test('nothing is a dash', () => expect(age(undefined, NOW)).toBe('–'));
});

test.each([
  ['100m', 0.1],
  ['2', 2],
  ['1536Mi', 1536 * 2 ** 20],
  ['1.5Gi', 1.5 * 2 ** 30],
  ['2k', 2000],
  ['123456789n', 0.123456789],
  ['1e3', 1000],
  ['1E', 1e18],
  ['x', 0],
  [undefined, 0],
])('quantity %s', (text, wanted) => expect(quantity(text)).toBeCloseTo(wanted, 9));

test('numbers read as people say them', () => {
  expect([bytes(0), bytes(1536), bytes(200 * 2 ** 20), bytes(2 ** 31)]).toEqual(['0 B', '1.5 KiB', '200 MiB', '2 GiB']);
  expect([cores(0), cores(0.0001), cores(0.25), cores(2), cores(1.234)]).toEqual(['0', '<1m', '250m', '2', '1.23']);
  expect([percent(1, 4), percent(9, 4), percent(1, 0)]).toEqual([25, 100, 0]);
});
