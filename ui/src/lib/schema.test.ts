import { expect, test } from 'vitest';
import { Schemas, pathAt } from './schema';

const TEXT = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: a
spec:
  template:
    spec:
      containers:
      - name: web
        image: busybox
        resources:
          limits:
            `.split('\n');

test('the fields above a line are found by indentation', () => {
  expect(pathAt(TEXT, 12, 12)).toEqual(['spec', 'template', 'spec', 'containers', 'resources', 'limits']);
  expect(pathAt(TEXT, 9, 8)).toEqual(['spec', 'template', 'spec', 'containers']);
  expect(pathAt(TEXT, 3, 2)).toEqual(['metadata']);
  expect(pathAt(TEXT, 5, 0)).toEqual([]);
});

test('schemas are followed through references and lists', () => {
  const all = {
    'io.A': { properties: { spec: { allOf: [{ $ref: '#/components/schemas/io.Spec' }] } }, 'x-kubernetes-group-version-kind': [{ group: 'g', version: 'v1', kind: 'A' }] },
    'io.Spec': { properties: { items: { type: 'array', items: { $ref: '#/components/schemas/io.Item' } } } },
    'io.Item': { properties: { policy: { type: 'string', enum: ['x', 'y'] } } },
  };
  const schemas = Schemas.of({ components: { schemas: all } }, { group: 'g', version: 'v1', kind: 'A' });
  expect(schemas.at(['spec', 'items', 'policy'])?.enum).toEqual(['x', 'y']);
  expect(Object.keys(schemas.at(['spec', 'items'])?.properties ?? {})).toEqual(['policy']);
  expect(schemas.at(['nothing'])).toBeUndefined();
});
