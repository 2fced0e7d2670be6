import { render } from 'svelte/server';
import { expect, test } from 'vitest';
import Meter from './Meter.svelte';

const meter = (used: number | undefined, whole: number | undefined) => render(Meter, { props: { label: 'CPU', used, whole } }).body;

test('what is known has a bar', () => {
  expect(meter(1, 4)).toContain('aria-valuenow="25"');
  expect(meter(1, 4)).toContain('1 / 4');
  expect(meter(0, 4)).toContain('aria-valuenow="0"');
});

test('what is unknown has none, and is no 0', () => {
  for (const text of [meter(undefined, 4), meter(1, undefined), meter(undefined, undefined), meter(1, 0)]) expect(text).not.toContain('role="meter"');
  expect(meter(undefined, 4)).toContain('unknown / 4');
  expect(meter(1, undefined)).toContain('1 / unknown');
});
