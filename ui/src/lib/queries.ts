// What the UI asks of the history. A pod's own series, without a container's name, is the sum of its containers': asked
// together they would count twice.

import type { Key } from './i18n.svelte';
import { quoted } from './prometheus';

/** CPU and memory of one node or pod. */
export function useQueries(plural: 'nodes' | 'pods', namespace: string, name: string): [string, string] {
  return plural === 'nodes' ? ofSeries('node', `node=${quoted(name)}`) : ofContainers(namespace, `pod=${quoted(name)}`);
}

/** Of all pods together whose whole names match. */
export function workloadQueries(namespace: string, names: string): [string, string] {
  return ofContainers(namespace, `pod=~${quoted(names)}`);
}

function ofContainers(namespace: string, pods: string): [string, string] {
  return ofSeries('container', `container!="",namespace=${quoted(namespace)},${pods}`);
}

function ofSeries(of: string, which: string): [string, string] {
  return [`sum(rate(${of}_cpu_usage_seconds_total{${which}}[1m]))`, `sum(${of}_memory_working_set_bytes{${which}})`];
}

/** What is drawn for a name: without vowels, and without what looks like another. */
const DRAWN = '[b-df-hj-np-tv-xz2456789]{5}';

/**
 * How the pods of a workload are called, also those that are gone: the history knows of pods, not whose they are. A
 * deployment's are those of its replica sets. Empty where nothing tells.
 */
export function podNames(kind: string, name: string, replicaSets: string[]): string {
  const plain = (text: string) => text.replaceAll('.', '\\.');
  switch (kind) {
    case 'Deployment':
      return replicaSets.length > 0 ? `(${replicaSets.map(plain).sort().join('|')})-${DRAWN}` : '';
    case 'StatefulSet':
      return `${plain(name)}-[0-9]+`;
    case 'Job':
      return `${plain(name)}(-[0-9]+)?-${DRAWN}`;
    default:
      return `${plain(name)}-${DRAWN}`;
  }
}

export const PRESETS: { label: Key; query: string }[] = [
  { label: 'metrics.cpuByNamespace', query: 'sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=""}[2m]))' },
  { label: 'metrics.memoryByNamespace', query: 'sum by (namespace) (container_memory_working_set_bytes{container!=""})' },
  { label: 'metrics.topPods', query: 'topk(10, sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!=""}[2m])))' },
  { label: 'metrics.nodes', query: 'sum by (node) (rate(node_cpu_usage_seconds_total[2m]))' },
];
