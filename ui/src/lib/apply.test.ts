import { expect, test, vi } from 'vitest';
import type { KubeObject } from '../api/objects';
import { replaceRead } from './apply';

const read: KubeObject = { metadata: { name: 'web', uid: 'u', resourceVersion: '1' }, spec: { replicas: 1, paused: false }, status: { ready: 0 } };
const resource = { group: 'apps', version: 'v1', plural: 'deployments', kind: 'Deployment', singular: '', namespaced: true, verbs: [], shortNames: [], subresources: [] };
const target = { resource, namespace: 'a', name: 'web' };

/** The server has `now`, and takes only what names its version. */
function server(now: KubeObject) {
  vi.stubGlobal('fetch', async (_: string, init: RequestInit = {}) => {
    if (init.method !== 'PUT') return new Response(JSON.stringify(now));
    const put = JSON.parse(String(init.body)) as KubeObject;
    const fits = put.metadata.resourceVersion === now.metadata.resourceVersion;
    return new Response(JSON.stringify(fits ? put : { message: 'the object has been modified' }), { status: fits ? 200 : 409 });
  });
}
const edited = { ...read, spec: { replicas: 2, paused: false } };

test('a status that moved on is in nobody’s way', async () => {
  server({ ...read, metadata: { ...read.metadata, resourceVersion: '2' }, spec: { paused: false, replicas: 1 }, status: { ready: 1 } });
  expect((await replaceRead(edited, read, target, true)).metadata.resourceVersion).toBe('2');
});

test('what another person changed is not written over', async () => {
  server({ ...read, metadata: { ...read.metadata, resourceVersion: '2' }, spec: { replicas: 7, paused: false } });
  await expect(replaceRead(edited, read, target, true)).rejects.toThrow('the object has been modified');
});
