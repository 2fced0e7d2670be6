// Changes as the server judges them: tried without effect first, then made.

import { discovery } from '../api/discovery.svelte';
import { getJson, send } from '../api/http';
import { apiPath, type KubeObject, type Resource } from '../api/objects';
import { ApiError, asApiError } from '../api/status';

export interface Target {
  resource: Resource;
  namespace: string;
  name: string;
}

/** Where an object belongs. A kind that is not served is a refusal with the reason. */
export function targetOf(object: KubeObject, namespace: string): Target {
  const { apiVersion = '', kind = '' } = object;
  const resource = discovery.ofKind(apiVersion, kind);
  if (!resource) throw new ApiError({ message: `no kind ${kind || '?'} in ${apiVersion || '?'}`, code: 400 });
  const version = apiVersion.split('/').pop() ?? resource.version;
  const name = object.metadata?.name;
  if (!name) throw new ApiError({ message: `${kind}: metadata.name is missing`, code: 400 });
  return { resource: { ...resource, version }, namespace: resource.namespaced ? object.metadata.namespace || namespace || 'default' : '', name };
}

/** Replaces an object that is there. `dryRun` changes nothing and answers what would be. */
export function replace(object: KubeObject, target: Target, dryRun: boolean): Promise<KubeObject> {
  const query = new URLSearchParams({ fieldValidation: 'Strict', fieldManager: 'sampan-dashboard', ...(dryRun ? { dryRun: 'All' } : {}) });
  return send('PUT', `${apiPath(target.resource, target.namespace, target.name)}?${query}`, object);
}

/** Creates an object, or makes one that is there what the text says, as `kubectl apply --server-side`. */
export function apply(object: KubeObject, target: Target, dryRun: boolean): Promise<KubeObject> {
  const query = new URLSearchParams({ fieldValidation: 'Strict', fieldManager: 'sampan-dashboard', ...(dryRun ? { dryRun: 'All' } : {}) });
  return send('PATCH', `${apiPath(target.resource, target.namespace, target.name)}?${query}`, object, 'application/apply-patch+yaml');
}

/** The object as it is now; `undefined` if there is none. */
export async function present(target: Target): Promise<KubeObject | undefined> {
  try {
    return await getJson<KubeObject>(apiPath(target.resource, target.namespace, target.name));
  } catch (caught) {
    const error = asApiError(caught);
    if (error.code === 404) return undefined;
    throw error;
  }
}

/** Whether somebody changed what people write, and not only controllers the status. */
export function sameButStatus(one: KubeObject, other: KubeObject): boolean {
  return written(one) === written(other);
}

function written(object: KubeObject): string {
  const kept = structuredClone(object);
  delete kept['status'];
  for (const field of ['resourceVersion', 'managedFields']) delete (kept.metadata as unknown as Record<string, unknown>)[field];
  return JSON.stringify(sorted(kept));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, below]) => [name, sorted(below)]));
}

/**
 * Replaces what was read as `read`. Where the server says that it is older than what there is, and only the status
 * has changed since, the change is made to the newest.
 */
export async function replaceRead(object: KubeObject, read: KubeObject, target: Target, dryRun: boolean): Promise<KubeObject> {
  try {
    return await replace(object, target, dryRun);
  } catch (caught) {
    if (asApiError(caught).code !== 409 || object.metadata.resourceVersion !== read.metadata.resourceVersion) throw caught;
    const now = await present(target);
    if (!now || !sameButStatus(now, read)) throw caught;
    return replace({ ...object, metadata: { ...object.metadata, resourceVersion: now.metadata.resourceVersion } }, target, dryRun);
  }
}
