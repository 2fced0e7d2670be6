import { expect, test } from 'vitest';
import { before, joined, latest, sum, useOf } from './samples';

const answer = (times: number[], values: (number | null)[]) => ({ times, series: [{ label: 'x', values }] });

test('what was not measured is unknown, not nothing', () => {
  const past = before(answer([10, 20], [0.5, null]), answer([5, 20, 30, 40], [6, 7, 8, 9]), 10);
  expect(joined(past, [{ time: 40, cpu: 1, memory: 1 }], 4).slice(0, 3)).toEqual([
    { time: 10, cpu: 0.5, memory: null },
    { time: 20, cpu: null, memory: 7 },
    { time: 30, cpu: null, memory: 8 },
  ]);
  expect(before({ times: [], series: [] }, { times: [], series: [] }, 0)).toEqual([]);
  expect(joined(past, [], 2).map((one) => one.time)).toEqual([30, 40]);
});

test('a pod uses what its containers do', () => {
  const usage = { cpu: '250m', memory: '1Ki' };
  const pod = { metadata: { name: 'a' }, containers: [{ name: 'x', usage }, { name: 'y', usage }] };
  expect(useOf(pod)).toEqual({ cpu: 0.5, memory: 2048 });
  expect(useOf({ metadata: { name: 'n' }, usage })).toEqual({ cpu: 0.25, memory: 1024 });
  expect(useOf({ metadata: { name: 'new' }, containers: [] })).toBeUndefined();
  expect(sum([])).toEqual({ cpu: 0, memory: 0 });
});

test('what was used once is not what is used now', () => {
  const samples = [{ time: 100, cpu: 1, memory: 2 }];
  expect([latest(samples, 160)?.cpu, latest(samples, 161), latest([], 0)]).toEqual([1, undefined, undefined]);
});
