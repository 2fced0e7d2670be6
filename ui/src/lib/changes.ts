// What was rolled out last, told by the replica sets of deployments: which revision became the present one, and when.

import { controllerOf, type Metadata, type Row } from '../api/objects';

const REVISION = 'deployment.kubernetes.io/revision';

export interface RolledOut {
  row: Row;
  deployment: string;
  revision: number;
  /** A set that was there before: somebody rolled back. */
  again: boolean;
  time: string;
}

export function revisionOf(meta: Metadata): number {
  return Number(meta.annotations?.[REVISION]) || 0;
}

/** When the set got its revision: at its creation, unless it was the present one before; then when that was last written. */
function timeOf(meta: Metadata): string {
  const made = meta.creationTimestamp ?? '';
  if (!isAgain(meta)) return made;
  const notes = (meta.managedFields ?? []).filter((one) => REVISION in (noted(one.fieldsV1) ?? {}));
  return notes.reduce((newest, one) => ((one.time ?? '') > newest ? one.time! : newest), made);
}

function noted(fields: Record<string, unknown> | undefined): Record<string, unknown> | undefined {
  const metadata = fields?.['f:metadata'] as Record<string, unknown> | undefined;
  const annotations = metadata?.['f:annotations'] as Record<string, unknown> | undefined;
  return annotations && Object.fromEntries(Object.keys(annotations).map((name) => [name.replace(/^f:/, ''), true]));
}

function isAgain(meta: Metadata): boolean {
  return Boolean(meta.annotations?.['deployment.kubernetes.io/revision-history']);
}

/** The newest first. */
export function changes(replicaSets: Row[], most: number): RolledOut[] {
  const all = replicaSets.flatMap((row) => {
    const owner = controllerOf(row.meta);
    if (owner?.kind !== 'Deployment') return [];
    return [{ row, deployment: owner.name, revision: revisionOf(row.meta), again: isAgain(row.meta), time: timeOf(row.meta) }];
  });
  // Of one moment, the higher revision is the later.
  return all.sort((a, b) => b.time.localeCompare(a.time) || b.revision - a.revision).slice(0, most);
}
