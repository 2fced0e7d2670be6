import { describe, expect, it } from 'vitest';
import type { Row } from '../api/objects';
import { changes } from './changes';

function set(name: string, revision: string, created: string, more: Partial<Row['meta']> = {}): Row {
  const annotations = { 'deployment.kubernetes.io/revision': revision, ...more.annotations };
  const ownerReferences = [{ kind: 'Deployment', name: 'web', uid: 'u', controller: true }];
  return { cells: [], meta: { name, uid: name, creationTimestamp: created, ownerReferences, ...more, annotations } };
}

describe('what changed', () => {
  it('tells the newest set first', () => {
    const found = changes([set('a', '1', '2026-01-01T00:00:00Z'), set('b', '2', '2026-01-02T00:00:00Z')], 8);
    expect(found.map((one) => [one.row.meta.name, one.revision, one.again])).toEqual([['b', 2, false], ['a', 1, false]]);
  });

  it('tells a rollback by when the old set became the present one', () => {
    const fieldsV1 = { 'f:metadata': { 'f:annotations': { 'f:deployment.kubernetes.io/revision': {} } } };
    const old = set('a', '3', '2026-01-01T00:00:00Z', {
      annotations: { 'deployment.kubernetes.io/revision-history': '1' },
      managedFields: [
        { time: '2026-01-03T00:00:00Z', fieldsV1 },
        { time: '2026-01-04T00:00:00Z', fieldsV1: { 'f:status': {} } },
      ],
    });
    const found = changes([old, set('b', '2', '2026-01-02T00:00:00Z')], 8);
    expect(found.map((one) => [one.row.meta.name, one.revision, one.again, one.time])).toEqual([
      ['a', 3, true, '2026-01-03T00:00:00Z'],
      ['b', 2, false, '2026-01-02T00:00:00Z'],
    ]);
  });

  it('leaves out sets of nobody and what is beyond the bound', () => {
    const free = set('free', '1', '2026-01-09T00:00:00Z', { ownerReferences: [] });
    expect(changes([free, set('a', '1', '2026-01-01T00:00:00Z'), set('b', '2', '2026-01-01T00:00:00Z')], 1).map((one) => one.row.meta.name)).toEqual(['b']);
  });
});
