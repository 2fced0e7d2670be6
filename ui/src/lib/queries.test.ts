import { expect, test } from 'vitest';
import { PRESETS, podNames, useQueries, workloadQueries } from './queries';

test('no query counts a pod and its containers together', () => {
  const all = [...PRESETS.map((one) => one.query), ...useQueries('pods', 'shop', 'web'), ...workloadQueries('shop', podNames('Deployment', 'web', ['web-7d']))];
  const ofContainers = all.filter((query) => query.includes('container_'));
  expect(ofContainers).toHaveLength(7);
  for (const query of ofContainers) expect(query).toContain('{container!=""');
  expect(useQueries('nodes', '', 'n"0')[1]).toBe('sum(node_memory_working_set_bytes{node="n\\"0"})');
});

test('pods of a workload are known by their names, those of others are not', () => {
  const known = (kind: string, sets: string[], pod: string) => new RegExp(`^(?:${podNames(kind, 'web', sets)})$`).test(pod);
  expect(known('Deployment', ['web-7d', 'web-9c'], 'web-9c-x2kfz')).toBe(true);
  expect(known('Deployment', ['web-7d'], 'web-migrate-x2kfz')).toBe(false);
  expect(known('StatefulSet', [], 'web-12')).toBe(true);
  expect(known('StatefulSet', [], 'web-x2kfz')).toBe(false);
  expect(known('DaemonSet', [], 'web-x2kfz')).toBe(true);
  expect(known('DaemonSet', [], 'web-proxy')).toBe(false);
  expect([known('Job', [], 'web-x2kfz'), known('Job', [], 'web-3-x2kfz'), known('Job', [], 'web-3')]).toEqual([true, true, false]);
  expect(podNames('Deployment', 'web', [])).toBe('');
  expect(workloadQueries('shop', podNames('StatefulSet', 'a.b', []))[1]).toContain('pod=~"a\\\\.b-[0-9]+"');
});
