// Who owns what: pods below what made them, as a tree from owner references alone.

import { controllerOf, type Row } from '../api/objects';
import { fractionTone, tone, worst, type Tone } from './tone';

export interface Leaf {
  row: Row;
  status: string;
  tone: Tone;
}

export interface Workload {
  /** `deployments.apps` */
  resource: string;
  kind: string;
  row: Row;
  /** `2/3` as the server counts, or nothing. */
  ready: string;
  tone: Tone;
  pods: Leaf[];
}

export interface Owned {
  resource: string;
  kind: string;
  rows: Row[];
  /** Where the kind's table says how many are ready. */
  readyColumn?: number;
}

/** Column numbers of a table by name; absent where it has none. */
export function columnOf(columns: { name: string }[], name: string): number | undefined {
  const index = columns.findIndex((column) => column.name === name);
  return index < 0 ? undefined : index;
}

/**
 * The workloads that nothing else owns, each with all pods below it, at whatever depth; pods that nothing owns are
 * workloads of their own.
 */
export function workloads(owners: Owned[], pods: Row[], statusColumn: number | undefined, podReadyColumn?: number): Workload[] {
  const parents = new Map<string, string>();
  const all = new Map<string, Workload>();
  for (const { resource, kind, rows, readyColumn } of owners) {
    for (const row of rows) {
      const ready = readyColumn === undefined ? '' : String(row.cells[readyColumn] ?? '');
      all.set(row.meta.uid, { resource, kind, row, ready, tone: 'idle', pods: [] });
      const owner = controllerOf(row.meta);
      if (owner) parents.set(row.meta.uid, owner.uid);
    }
  }
  const roots = new Map<string, Workload>();
  for (const [uid, workload] of all) if (!all.has(parents.get(uid) ?? '')) roots.set(uid, workload);
  for (const row of pods) {
    const status = statusColumn === undefined ? '' : String(row.cells[statusColumn] ?? '');
    const leaf = { row, status, tone: podTone(row, status, podReadyColumn) };
    const root = rootOf(controllerOf(row.meta)?.uid, parents, all);
    if (root) {
      root.pods.push(leaf);
    } else {
      const ready = podReadyColumn === undefined ? '' : String(row.cells[podReadyColumn] ?? '');
      roots.set(row.meta.uid, { resource: 'pods', kind: 'Pod', row, ready, tone: 'idle', pods: [leaf] });
    }
  }
  for (const workload of roots.values()) workload.tone = toneOf(workload);
  return [...roots.values()];
}

/** A pod that runs and is not ready is on its way, or has lost it. */
function podTone(row: Row, status: string, readyColumn: number | undefined): Tone {
  if (row.meta.deletionTimestamp) return 'busy';
  const own = tone(status);
  if (own !== 'good' || readyColumn === undefined) return own;
  return fractionTone(String(row.cells[readyColumn] ?? '')) === 'good' ? 'good' : 'warn';
}

function rootOf(uid: string | undefined, parents: Map<string, string>, all: Map<string, Workload>): Workload | undefined {
  let found = all.get(uid ?? '');
  // Owner references could form a ring: no real chain is this long.
  for (let depth = 0; found && depth < 8; depth += 1) {
    const above = all.get(parents.get(found.row.meta.uid) ?? '');
    if (!above) break;
    found = above;
  }
  return found;
}

/** Fewer ready than there should be is bad only where no pod is on its way or running. */
function toneOf(workload: Workload): Tone {
  const pods = worst(workload.pods.map((pod) => pod.tone));
  const counted = fractionTone(workload.ready);
  if (pods === 'bad' || counted === 'idle' || workload.kind === 'Pod') return pods;
  if (counted === 'good') return 'good';
  return workload.pods.some((pod) => pod.tone === 'busy') ? 'busy' : workload.pods.length > 0 ? 'warn' : counted;
}
