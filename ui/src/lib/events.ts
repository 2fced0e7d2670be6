// Events as the API has them, of either of its two shapes.

import { discovery } from '../api/discovery.svelte';
import { resourceId, type KubeObject } from '../api/objects';
import { href, objectPath } from './router.svelte';

/** When it was seen last. */
export function eventTime(event: KubeObject): string {
  return event['series']?.lastObservedTime ?? event['lastTimestamp'] ?? event['eventTime'] ?? event.metadata.creationTimestamp ?? '';
}

export function eventCount(event: KubeObject): number {
  return event['series']?.count ?? event['count'] ?? 1;
}

/** The page of what an event is about; the event's own where that kind is not served. */
export function subjectPath(event: KubeObject): string {
  const about = event['involvedObject'] ?? {};
  const resource = discovery.ofKind(about.apiVersion ?? 'v1', about.kind ?? '');
  if (!resource) return href(objectPath('events', event.metadata.namespace, event.metadata.name));
  return href(objectPath(resourceId(resource), resource.namespaced ? about.namespace : '', about.name));
}
