// Who may do what, from the RBAC objects that the user may read.

import type { KubeObject } from '../api/objects';

export interface Asked {
  verb: string;
  group: string;
  resource: string;
  namespace: string;
}

export interface Answer {
  subject: string;
  kind: string;
  role: string;
  binding: string;
  everywhere: boolean;
}

interface Rule {
  verbs?: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
}

function allows(rule: Rule, asked: Asked): boolean {
  const has = (list: string[] | undefined, wanted: string) => list?.includes('*') || list?.includes(wanted);
  const [, sub] = asked.resource.split('/');
  const resource = has(rule.resources, asked.resource) || (sub !== undefined && rule.resources?.includes(`*/${sub}`));
  return Boolean(has(rule.verbs, asked.verb) && has(rule.apiGroups, asked.group) && resource && !rule.resourceNames?.length);
}

function keyOf(role: KubeObject): string {
  return `${role.metadata.namespace ? 'Role' : 'ClusterRole'}/${role.metadata.namespace ?? ''}/${role.metadata.name}`;
}

/** The roles that would do, whoever has them; a role's rules for single names do not count. */
export function allowing(asked: Asked, roles: KubeObject[]): KubeObject[] {
  return roles.filter((role) => ((role['rules'] ?? []) as Rule[]).some((rule) => allows(rule, asked)));
}

/** Every subject that a binding gives a role that allows it; a role's rules for single names do not count. */
export function whoCan(asked: Asked, roles: KubeObject[], bindings: KubeObject[]): Answer[] {
  const enough = new Set(allowing(asked, roles).map(keyOf));
  const answers: Answer[] = [];
  for (const binding of bindings) {
    const everywhere = !binding.metadata.namespace;
    if (!everywhere && asked.namespace && binding.metadata.namespace !== asked.namespace) continue;
    if (!everywhere && !asked.namespace) continue;
    const ref = binding['roleRef'] as { kind: string; name: string };
    const key = `${ref.kind}/${ref.kind === 'Role' ? binding.metadata.namespace : ''}/${ref.name}`;
    if (!enough.has(key)) continue;
    for (const subject of (binding['subjects'] ?? []) as { kind: string; name: string; namespace?: string }[]) {
      const name = subject.namespace ? `${subject.namespace}/${subject.name}` : subject.name;
      answers.push({ subject: name, kind: subject.kind, role: ref.name, binding: binding.metadata.name, everywhere });
    }
  }
  return answers.sort((a, b) => a.kind.localeCompare(b.kind) || a.subject.localeCompare(b.subject));
}
