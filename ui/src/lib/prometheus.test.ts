import { expect, test } from 'vitest';
import { align, labelOf } from './prometheus';

test('series of different times share one axis', () => {
  const result: Parameters<typeof align>[0]['data']['result'] = [
    { metric: { pod: 'a' }, values: [[1, '0.5'], [2, '1']] },
    { metric: { __name__: 'up' }, values: [[2, '3']] },
  ];
  expect(align({ data: { result } })).toEqual({
    times: [1, 2],
    series: [{ label: 'pod=a', values: [0.5, 1] }, { label: 'up', values: [null, 3] }],
  });
  expect(labelOf({})).toBe('value');
});
