// Kinds that have more to say than their fields: one row each.

import type { Component } from 'svelte';
import type { KubeObject, Resource } from '../api/objects';

export type PanelProps = { resource: Resource; object: KubeObject };

interface Panel {
  load: () => Promise<{ default: Component<PanelProps> }>;
  /** Has pods below it: its logs are theirs. */
  logs?: boolean;
  /** Can be scaled, restarted, rolled back, as far as the kind goes. */
  workload?: boolean;
}

const workload = { load: () => import('./WorkloadPanel.svelte'), logs: true, workload: true };
const data = { load: () => import('./DataPanel.svelte') };

const PANELS: Record<string, Panel> = {
  pods: { load: () => import('./PodPanel.svelte') },
  'deployments.apps': workload,
  'statefulsets.apps': workload,
  'daemonsets.apps': workload,
  'replicasets.apps': workload,
  replicationcontrollers: workload,
  'jobs.batch': { ...workload, workload: false },
  services: { load: () => import('./ServicePanel.svelte') },
  nodes: { load: () => import('./NodePanel.svelte') },
  configmaps: data,
  secrets: data,
};

const ANY: Panel = { load: () => import('./AnyPanel.svelte') };

export function panelOf(id: string): Panel {
  return PANELS[id] ?? ANY;
}
