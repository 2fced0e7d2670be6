// What the user may do, as the server lists it for a namespace: buttons that would only be refused are not shown.
//
// Where the list is not known, or the server says that it is not whole, everything is shown: the server judges anyway.

import { send } from '../api/http';
import type { Resource } from '../api/objects';

export interface ResourceRule {
  verbs: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
}

export interface Rules {
  resourceRules?: ResourceRule[];
  incomplete?: boolean;
}

/** Whether the rules give it; `name` is the object's, where it is about one. */
export function gives(rules: Rules, verb: string, group: string, resource: string, name = ''): boolean {
  if (rules.incomplete) return true;
  const has = (list: string[] | undefined, wanted: string) => Boolean(list?.includes('*') || list?.includes(wanted));
  const [, sub] = resource.split('/');
  return (rules.resourceRules ?? []).some(
    (rule) =>
      has(rule.verbs, verb) &&
      has(rule.apiGroups, group) &&
      (has(rule.resources, resource) || (sub !== undefined && has(rule.resources, `*/${sub}`))) &&
      (!rule.resourceNames?.length || (name !== '' && rule.resourceNames.includes(name))),
  );
}

export function rulesIn(namespace: string): Promise<Rules> {
  const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace } };
  return send<{ status: Rules }>('POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', body).then((answer) => answer.status);
}

/** Rights change: what was answered so long ago is asked again. */
const FRESH_MS = 60_000;

class Rights {
  private known = $state.raw<Record<string, { rules: Rules; at: number }>>({});
  private readonly asking = new Set<string>();

  /** `subresource` as in `exec`; `name` of one object. To be called where it is shown: it changes with the answer. */
  may(verb: string, resource: Pick<Resource, 'group' | 'plural'>, namespace: string, { subresource = '', name = '' } = {}): boolean {
    // Of what lies in no namespace, the rules of any tell.
    const where = namespace || 'default';
    const known = this.known[where];
    if (!known || Date.now() - known.at > FRESH_MS) this.ask(where);
    const path = subresource ? `${resource.plural}/${subresource}` : resource.plural;
    return !known || gives(known.rules, verb, resource.group, path, name);
  }

  /** Another user has others. */
  forget(): void {
    this.known = {};
  }

  private ask(namespace: string): void {
    if (this.asking.has(namespace)) return;
    this.asking.add(namespace);
    rulesIn(namespace)
      // Who may not even ask this is shown all.
      .catch((): Rules => ({ incomplete: true }))
      .then((rules) => {
        this.asking.delete(namespace);
        this.known = { ...this.known, [namespace]: { rules, at: Date.now() } };
      });
  }
}

export const rights = new Rights();
