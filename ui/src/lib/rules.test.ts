import { expect, test } from 'vitest';
import type { KubeObject } from '../api/objects';
import { rank, score } from './rank';
import { rollbackPatch, rolloutOf, selectorText } from './rollout';
import { starter } from './starter';
import { fractionTone, tone } from './tone';
import { allowing, whoCan } from './whocan';
import { fromYaml, toYaml } from './yaml';

const object = (fields: object): KubeObject => ({ metadata: { name: 'a', uid: 'u', generation: 2 }, ...fields });

test('a rollout is done when the newest spec is seen and all is ready', () => {
  const of = (status: object) => rolloutOf(object({ kind: 'Deployment', spec: { replicas: 2 }, status }));
  expect(of({ observedGeneration: 2, replicas: 2, updatedReplicas: 2, readyReplicas: 2 }).done).toBe(true);
  expect(of({ observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: 2 })).toMatchObject({ done: false, updated: 0 });
  expect(of({ observedGeneration: 2, replicas: 3, updatedReplicas: 2, readyReplicas: 2 }).done).toBe(false);
  expect(of({ observedGeneration: 2, conditions: [{ type: 'Progressing', status: 'False' }] })).toMatchObject({ done: false, failed: true });
});

test('selectors as queries', () => {
  expect(selectorText(object({ spec: { selector: { a: 'b' } } }))).toBe('a=b');
  const matchExpressions = [{ key: 'x', operator: 'In', values: ['1', '2'] }, { key: 'y', operator: 'Exists' }, { key: 'z', operator: 'DoesNotExist' }];
  expect(selectorText(object({ spec: { selector: { matchLabels: { a: 'b' }, matchExpressions } } }))).toBe('a=b,x in (1,2),y,!z');
});

test('going back takes the template without the mark of its set', () => {
  const set = object({ spec: { template: { metadata: { labels: { app: 'a', 'pod-template-hash': 'h' } }, spec: { x: 1 } } } });
  expect(rollbackPatch(set)).toEqual([{ op: 'replace', path: '/spec/template', value: { metadata: { labels: { app: 'a' } }, spec: { x: 1 } } }]);
});

test('words have one colour', () => {
  const words = ['Running', 'CrashLoopBackOff', 'Init:0/2', 'Init:Error', 'Ready,SchedulingDisabled', 'Completed', 'ErrImageNeverPull'];
  expect(words.map(tone)).toEqual(['good', 'bad', 'busy', 'bad', 'warn', 'idle', 'bad']);
  expect(['0/0', '2/2', '1/2', '0/2', 'x'].map(fractionTone)).toEqual(['idle', 'good', 'warn', 'bad', 'idle']);
});

test('beginnings of words win', () => {
  expect(rank(['rename-web', 'web', 'ab-web', 'wide-ebb'], 'web', (one) => one, () => '')).toEqual(['web', 'rename-web', 'ab-web', 'wide-ebb'].sort((a, b) => score(b, 'web') - score(a, 'web')));
  expect(rank(['pods', 'nodes'], 'pods x', (one) => one, () => '')).toEqual([]);
});

test('who can: roles, wildcards, subresources, scope', () => {
  const role = (name: string, rules: object[], namespace?: string) => ({ metadata: { name, uid: name, namespace }, rules });
  const bind = (kind: string, role: string, subject: string, namespace?: string) => ({ metadata: { name: `b-${subject}`, uid: subject, namespace }, roleRef: { kind, name: role }, subjects: [{ kind: 'User', name: subject }] });
  const roles = [role('all', [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }]), role('read', [{ verbs: ['get'], apiGroups: [''], resources: ['pods', 'pods/log'] }], 'a'), role('one', [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] }])];
  const bindings = [bind('ClusterRole', 'all', 'root'), bind('Role', 'read', 'anna', 'a'), bind('ClusterRole', 'one', 'bob')];
  const who = (verb: string, resource: string, namespace: string) => whoCan({ verb, group: '', resource, namespace }, roles, bindings).map((one) => one.subject);
  expect(who('get', 'pods', 'a')).toEqual(['anna', 'root']);
  expect(who('get', 'pods/log', 'a')).toEqual(['anna', 'root']);
  expect(who('get', 'pods', 'b')).toEqual(['root']);
  expect(who('delete', 'pods', 'a')).toEqual(['root']);
  expect(allowing({ verb: 'get', group: '', resource: 'pods', namespace: 'a' }, roles).map((one) => one.metadata.name)).toEqual(['all', 'read']);
});

test('YAML keeps strings that look like other things', () => {
  const before = object({ data: { a: 'yes', b: '08', c: 'on', d: '1e3', e: 'null' } });
  const text = toYaml(before);
  expect(fromYaml(text).objects[0]?.['data']).toEqual(before['data']);
  expect(text).not.toContain('uid');
});

test('YAML tells where it is wrong', () => {
  expect(fromYaml('a: [1').errors).toHaveLength(1);
  expect(fromYaml('a: 1\n---\n---\nb: 2\n').objects).toEqual([{ a: 1 }, { b: 2 }]);
  expect(fromYaml('- 1').errors).toHaveLength(1);
});

test('the form makes a service only for a port', () => {
  const wish = { name: 'web', namespace: 'a', image: 'nginx', replicas: 2, port: 0 };
  expect(starter(wish).map((one) => one.kind)).toEqual(['Deployment']);
  expect(starter({ ...wish, port: 80 }).map((one) => one.kind)).toEqual(['Deployment', 'Service']);
});
