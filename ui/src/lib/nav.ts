// The sections of the UI: what the side bar and the palette list.

import type { IconName } from '../ui/Icon.svelte';
import type { Key } from './i18n.svelte';

export interface Section {
  path: string;
  label: Key;
  icon: IconName;
  /** Typed after `g`. */
  letter?: string;
}

export const SECTIONS: { label: Key | ''; sections: Section[] }[] = [
  { label: '', sections: [{ path: '/', label: 'nav.overview', icon: 'overview', letter: 'o' }] },
  {
    label: 'nav.run',
    sections: [
      { path: '/workloads', label: 'nav.workloads', icon: 'workloads', letter: 'w' },
      { path: '/k/pods', label: 'nav.pods', icon: 'pods', letter: 'p' },
      { path: '/nodes', label: 'nav.nodes', icon: 'nodes', letter: 'n' },
      { path: '/logs', label: 'nav.logs', icon: 'logs', letter: 'l' },
      { path: '/metrics', label: 'nav.metrics', icon: 'scale', letter: 'm' },
      { path: '/events', label: 'nav.events', icon: 'events', letter: 'e' },
    ],
  },
  {
    label: 'nav.traffic',
    sections: [
      { path: '/k/services', label: 'nav.services', icon: 'services', letter: 's' },
      { path: '/k/ingresses.networking.k8s.io', label: 'nav.ingresses', icon: 'external' },
      { path: '/k/networkpolicies.networking.k8s.io', label: 'nav.policies', icon: 'access' },
    ],
  },
  {
    label: 'nav.data',
    sections: [
      { path: '/k/configmaps', label: 'nav.configmaps', icon: 'config', letter: 'c' },
      { path: '/k/secrets', label: 'nav.secrets', icon: 'secret' },
      { path: '/k/persistentvolumeclaims', label: 'nav.claims', icon: 'storage' },
      { path: '/k/persistentvolumes', label: 'nav.volumes', icon: 'storage' },
      { path: '/k/storageclasses.storage.k8s.io', label: 'nav.classes', icon: 'storage' },
    ],
  },
  {
    label: 'nav.cluster',
    sections: [
      { path: '/k/namespaces', label: 'nav.namespaces', icon: 'workloads' },
      { path: '/kinds', label: 'nav.kinds', icon: 'custom', letter: 'k' },
      { path: '/access', label: 'nav.access', icon: 'access', letter: 'a' },
    ],
  },
];

export const ALL_SECTIONS = SECTIONS.flatMap((group) => group.sections);

const BUILT_IN = /^$|^(apps|batch|autoscaling|policy|extensions|events)$|\.k8s\.io$/;

/** Whether a group is of the cluster's users, not of Kubernetes. */
export function isCustom(group: string): boolean {
  return !BUILT_IN.test(group);
}
