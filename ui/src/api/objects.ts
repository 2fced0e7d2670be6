// The shapes of the API that the UI reads. Fields that it does not know stay untouched.

export interface OwnerReference {
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
}

export interface Metadata {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
  managedFields?: { time?: string; fieldsV1?: Record<string, unknown> }[];
}

export interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

/** Any object; what is below `spec` and `status` is asked for with care. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: Metadata;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the API has thousands of fields; typing them here would be a second schema
  [field: string]: any;
}

export interface Column {
  name: string;
  type: string;
  priority: number;
  description?: string;
}

export interface Row {
  cells: unknown[];
  meta: Metadata;
}

/** How a kind is served, from discovery. */
export interface Resource {
  group: string;
  version: string;
  plural: string;
  kind: string;
  singular: string;
  namespaced: boolean;
  verbs: string[];
  shortNames: string[];
  subresources: string[];
}

/** `deployments.apps`, `pods`: how URLs of the UI name a resource. */
export function resourceId(resource: Pick<Resource, 'group' | 'plural'>): string {
  return resource.group ? `${resource.plural}.${resource.group}` : resource.plural;
}

export function apiRoot(resource: Pick<Resource, 'group' | 'version'>): string {
  return resource.group ? `/apis/${resource.group}/${resource.version}` : `/api/${resource.version}`;
}

export function apiPath(
  resource: Pick<Resource, 'group' | 'version' | 'plural' | 'namespaced'>,
  namespace = '',
  name = '',
  subresource = '',
): string {
  const parts = [apiRoot(resource)];
  if (resource.namespaced && namespace) parts.push('namespaces', encodeURIComponent(namespace));
  parts.push(resource.plural);
  if (name) parts.push(encodeURIComponent(name));
  if (subresource) parts.push(subresource);
  return parts.join('/');
}

export function controllerOf(meta: Metadata): OwnerReference | undefined {
  return meta.ownerReferences?.find((owner) => owner.controller) ?? meta.ownerReferences?.[0];
}
