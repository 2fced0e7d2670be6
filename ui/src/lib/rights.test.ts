import { expect, test } from 'vitest';
import { gives } from './rights.svelte';

const resourceRules = [
  { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods', 'pods/log'] },
  { verbs: ['*'], apiGroups: ['apps'], resources: ['*/scale'] },
  { verbs: ['delete'], apiGroups: [''], resources: ['pods'], resourceNames: ['mine'] },
];

test('rights as the rules give them', () => {
  const may = (verb: string, group: string, resource: string, name?: string) => gives({ resourceRules }, verb, group, resource, name);
  expect([may('list', '', 'pods'), may('get', '', 'pods/log'), may('patch', 'apps', 'deployments/scale')]).toEqual([true, true, true]);
  expect([may('create', '', 'pods'), may('list', 'apps', 'pods'), may('get', '', 'pods/exec'), may('patch', 'apps', 'deployments')]).toEqual([false, false, false, false]);
  expect([may('delete', '', 'pods', 'mine'), may('delete', '', 'pods', 'theirs'), may('delete', '', 'pods')]).toEqual([true, false, false]);
  expect(gives({}, 'get', '', 'pods')).toBe(false);
  expect(gives({ incomplete: true }, 'get', '', 'pods'), 'the list is not whole').toBe(true);
});
