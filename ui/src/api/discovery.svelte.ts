// Which kinds the server has, custom ones included; asked in one request.

import { getJson } from './http';
import { resourceId, type Resource } from './objects';
import { asApiError, type ApiError } from './status';

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';

interface DiscoveredResource {
  resource: string;
  responseKind?: { kind: string };
  scope: string;
  verbs: string[];
  singularResource?: string;
  shortNames?: string[];
  subresources?: { subresource: string }[];
}

interface DiscoveredGroups {
  items: { metadata: { name?: string }; versions: { version: string; resources?: DiscoveredResource[] }[] }[];
}

/** The preferred version of each resource, which the server names first. */
export function resourcesOf(groups: DiscoveredGroups): Resource[] {
  const found = new Map<string, Resource>();
  for (const group of groups.items) {
    for (const { version, resources = [] } of group.versions) {
      for (const one of resources) {
        const resource: Resource = {
          group: group.metadata.name ?? '',
          version,
          plural: one.resource,
          kind: one.responseKind?.kind ?? one.resource,
          singular: one.singularResource ?? '',
          namespaced: one.scope === 'Namespaced',
          verbs: one.verbs,
          shortNames: one.shortNames ?? [],
          subresources: (one.subresources ?? []).map((sub) => sub.subresource),
        };
        const id = resourceId(resource);
        if (!found.has(id)) found.set(id, resource);
      }
    }
  }
  return [...found.values()];
}

class Discovery {
  resources = $state.raw<Resource[]>([]);
  error = $state.raw<ApiError | undefined>(undefined);
  private byId = $derived(new Map(this.resources.map((one) => [resourceId(one), one])));
  private loading: Promise<void> | undefined;
  private outdated = false;

  /** Asked again by whoever finds a kind missing: custom kinds come and go. */
  load(): Promise<void> {
    this.outdated = this.loading !== undefined;
    this.loading ??= this.ask().finally(() => {
      this.loading = undefined;
      // What is asked already may be answered from before the change.
      if (this.outdated) void this.load();
    });
    return this.loading;
  }

  private async ask(): Promise<void> {
    try {
      const init = { headers: { accept: AGGREGATED } };
      const [core, named] = await Promise.all([
        getJson<DiscoveredGroups>('/api', init),
        getJson<DiscoveredGroups>('/apis', init),
      ]);
      this.resources = [...resourcesOf(core), ...resourcesOf(named)];
      this.error = undefined;
    } catch (error) {
      this.error = asApiError(error);
    }
  }

  find(id: string): Resource | undefined {
    return this.byId.get(id);
  }

  ofKind(apiVersion: string, kind: string): Resource | undefined {
    const [group = ''] = apiVersion.includes('/') ? apiVersion.split('/') : [''];
    return this.resources.find((one) => one.kind === kind && one.group === group && one.verbs.includes('get'));
  }
}

export const discovery = new Discovery();
