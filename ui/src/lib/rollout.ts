// How far a workload is with what it was asked for.

import type { KubeObject } from '../api/objects';

export interface Rollout {
  desired: number;
  updated: number;
  ready: number;
  done: boolean;
  failed: boolean;
}

/** Counts of whatever kind has pods; done only once the controller has seen the newest spec. */
export function rolloutOf(object: KubeObject): Rollout {
  const { spec = {}, status = {} } = object;
  const seen = status.observedGeneration === undefined || status.observedGeneration >= (object.metadata.generation ?? 0);
  const desired = status.desiredNumberScheduled ?? spec.replicas ?? spec.completions ?? spec.parallelism ?? 1;
  const ready = status.numberReady ?? status.readyReplicas ?? status.succeeded ?? 0;
  const counted = status.updatedReplicas ?? status.updatedNumberScheduled;
  const updated = counted ?? (object.kind === 'Deployment' || object.kind === 'StatefulSet' ? 0 : ready);
  const total = status.replicas ?? status.currentNumberScheduled ?? desired;
  const failed = (status.conditions ?? []).some(
    (one: { type: string; status: string }) =>
      (one.type === 'Progressing' && one.status === 'False') || (one.type === 'ReplicaFailure' && one.status === 'True') || (one.type === 'Failed' && one.status === 'True'),
  );
  const done = seen && updated >= desired && ready >= desired && total <= Math.max(desired, updated);
  return { desired, updated: seen ? updated : 0, ready, done, failed };
}

/** A label selector as queries spell it; empty where there is none. */
export function selectorText(object: KubeObject): string {
  const selector = object['spec']?.selector;
  if (!selector) return '';
  const labels: Record<string, string> = selector.matchLabels ?? (selector.matchExpressions ? {} : selector);
  const equal = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  const rules = (selector.matchExpressions ?? []).map((rule: { key: string; operator: string; values?: string[] }) => {
    if (rule.operator === 'Exists') return rule.key;
    if (rule.operator === 'DoesNotExist') return `!${rule.key}`;
    return `${rule.key} ${rule.operator === 'In' ? 'in' : 'notin'} (${(rule.values ?? []).join(',')})`;
  });
  return [...equal, ...rules].join(',');
}

/** Makes a deployment's template that of one of its earlier replica sets. */
export function rollbackPatch(set: KubeObject): unknown[] {
  const template = structuredClone(set['spec'].template);
  // The controller's own mark: the deployment's template never has it.
  delete template.metadata?.labels?.['pod-template-hash'];
  return [{ op: 'replace', path: '/spec/template', value: template }];
}
