// A pod's containers and state, as its fields tell them.

import type { KubeObject } from '../api/objects';

export interface ContainerView {
  name: string;
  role: '' | 'init' | 'ephemeral';
  image: string;
  state: string;
  message: string;
  ready: boolean;
  restarts: number;
  since: string | undefined;
  requests: string;
  limits: string;
  ports: { port: number; protocol: string }[];
}

interface State {
  running?: { startedAt?: string };
  waiting?: { reason?: string; message?: string };
  terminated?: { reason?: string; message?: string; exitCode: number; finishedAt?: string };
}

function stateOf(state: State | undefined): Pick<ContainerView, 'state' | 'message' | 'since'> {
  if (state?.running) return { state: 'Running', message: '', since: state.running.startedAt };
  if (state?.terminated) {
    const { reason, exitCode, message = '', finishedAt } = state.terminated;
    return { state: reason ?? (exitCode === 0 ? 'Completed' : 'Error'), message: message || (exitCode ? `exit code ${exitCode}` : ''), since: finishedAt };
  }
  return { state: state?.waiting?.reason ?? 'Waiting', message: state?.waiting?.message ?? '', since: undefined };
}

function amounts(values: Record<string, string> | undefined): string {
  return Object.entries(values ?? {})
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

export function containersOf(pod: KubeObject): ContainerView[] {
  const { spec = {}, status = {} } = pod;
  const kinds = [
    ['', 'containers', 'containerStatuses'],
    ['init', 'initContainers', 'initContainerStatuses'],
    ['ephemeral', 'ephemeralContainers', 'ephemeralContainerStatuses'],
  ] as const;
  return kinds.flatMap(([role, specs, statuses]) =>
    (spec[specs] ?? []).map((container: KubeObject): ContainerView => {
      const known = (status[statuses] ?? []).find((one: { name: string }) => one.name === container['name']);
      return {
        name: container['name'],
        role,
        image: container['image'] ?? '',
        ...stateOf(known?.state),
        ready: known?.ready ?? false,
        restarts: known?.restartCount ?? 0,
        requests: amounts(container['resources']?.requests),
        limits: amounts(container['resources']?.limits),
        ports: (container['ports'] ?? []).map((one: { containerPort: number; protocol?: string }) => ({ port: one.containerPort, protocol: one.protocol ?? 'TCP' })),
      };
    }),
  );
}

/** The word that lists show for a pod. */
export function reasonOf(pod: KubeObject): string {
  if (pod.metadata.deletionTimestamp) return 'Terminating';
  const { status = {} } = pod;
  const troubled = containersOf(pod).find((one) => one.role !== 'ephemeral' && !['Running', 'Completed', 'Waiting'].includes(one.state));
  if (status.phase === 'Running' || status.phase === 'Pending') return troubled?.state ?? status.reason ?? status.phase;
  return status.reason ?? status.phase ?? 'Unknown';
}
