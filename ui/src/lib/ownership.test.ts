import { describe, expect, test } from 'vitest';
import type { Row } from '../api/objects';
import { workloads, type Owned } from './ownership';

function row(uid: string, cells: unknown[], owner?: string): Row {
  const ownerReferences = owner ? [{ kind: '?', name: owner, uid: owner, controller: true }] : [];
  return { cells, meta: { name: uid, namespace: 'a', uid, ownerReferences } };
}

const owners = (rows: Partial<Record<'deployments' | 'sets', Row[]>>): Owned[] => [
  { resource: 'deployments.apps', kind: 'Deployment', rows: rows.deployments ?? [], readyColumn: 1 },
  { resource: 'replicasets.apps', kind: 'ReplicaSet', rows: rows.sets ?? [], readyColumn: 1 },
];

describe('workloads', () => {
  const tree = owners({ deployments: [row('web', ['web', '1/2'])], sets: [row('web-1', ['web-1', '1/1'], 'web'), row('own', ['own', '0/0'])] });
  const pods = [row('p1', ['p1', '1/1', 'Running'], 'web-1'), row('p2', ['p2', '0/1', 'CrashLoopBackOff'], 'web-1'), row('bare', ['bare', '1/1', 'Running']), row('orphan', ['orphan', '1/1', 'Running'], 'gone')];
  const found = workloads(tree, pods, 2, 1);
  const by = (name: string) => found.find((one) => one.row.meta.name === name);

  test('pods belong to what is at the top', () => expect(by('web')?.pods.map((pod) => pod.row.meta.name)).toEqual(['p1', 'p2']));
  test('what nothing owns stands alone', () => expect(found.map((one) => one.row.meta.name).sort()).toEqual(['bare', 'orphan', 'own', 'web']));
  test('one failing pod makes the whole fail', () => expect(by('web')?.tone).toBe('bad'));
  test('a running pod that is not ready is incomplete', () => {
    expect(workloads([], [row('p', ['p', '0/1', 'Running'])], 2, 1)[0]?.tone).toBe('warn');
  });
  test('a ring of owners ends', () => {
    const ring = owners({ sets: [row('a', ['a', '0/1'], 'b'), row('b', ['b', '0/1'], 'a')] });
    expect(workloads(ring, [row('p', ['p', '1/1', 'Running'], 'a')], 2, 1)).toEqual([]);
  });
});
