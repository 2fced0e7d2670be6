// What the small form makes: a Deployment, and a Service when it names a port.

import type { KubeObject } from '../api/objects';

export interface Wish {
  name: string;
  namespace: string;
  image: string;
  replicas: number;
  /** 0: none. */
  port: number;
}

export function starter(wish: Wish): KubeObject[] {
  const labels = { app: wish.name };
  const metadata = { name: wish.name, namespace: wish.namespace, labels };
  const container = { name: wish.name, image: wish.image, ...(wish.port ? { ports: [{ containerPort: wish.port }] } : {}) };
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: { replicas: wish.replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [container] } } },
  };
  const service = { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: labels, ports: [{ port: wish.port, targetPort: wish.port }] } };
  return (wish.port ? [deployment, service] : [deployment]) as unknown as KubeObject[];
}
