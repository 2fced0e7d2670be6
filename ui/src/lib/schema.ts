// Names of fields from the server's own OpenAPI documents, for completion in the editor.

import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import { getJson } from '../api/http';
import { apiRoot, type Resource } from '../api/objects';

export interface Schema {
  $ref?: string;
  allOf?: Schema[];
  type?: string;
  description?: string;
  enum?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  required?: string[];
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[];
}

interface Document {
  components?: { schemas?: Record<string, Schema> };
}

export class Schemas {
  constructor(
    private readonly all: Record<string, Schema>,
    readonly root: Schema | undefined,
  ) {}

  static of(document: Document, resource: Pick<Resource, 'group' | 'version' | 'kind'>): Schemas {
    const all = document.components?.schemas ?? {};
    const own = Object.values(all).find((schema) =>
      schema['x-kubernetes-group-version-kind']?.some((one) => one.group === resource.group && one.version === resource.version && one.kind === resource.kind),
    );
    return new Schemas(all, own);
  }

  resolve(schema: Schema | undefined): Schema | undefined {
    let found = schema;
    for (let depth = 0; found && depth < 8; depth += 1) {
      const reference = found.$ref ?? found.allOf?.[0]?.$ref;
      if (!reference) return found;
      const target: Schema | undefined = this.all[reference.split('/').pop() ?? ''];
      found = target && { ...target, description: found.description ?? target.description };
    }
    return found;
  }

  /** The schema at a path of field names; items of lists are passed through. */
  at(path: string[]): Schema | undefined {
    let found = this.resolve(this.root);
    for (const name of path) {
      while (found?.items) found = this.resolve(found.items);
      const below: Schema | undefined = found?.properties?.[name] ?? (typeof found?.additionalProperties === 'object' ? found.additionalProperties : undefined);
      found = this.resolve(below);
      if (!found) return undefined;
    }
    while (found?.items) found = this.resolve(found.items);
    return found;
  }
}

/** Which fields a line is below, by indentation alone: good enough for a text that does not parse yet. */
export function pathAt(lines: string[], line: number, indent: number): string[] {
  const path: string[] = [];
  let limit = indent;
  for (let at = line - 1; at >= 0 && limit > 0; at -= 1) {
    const match = /^(\s*)((?:- )*)([\w.$/-]+):/.exec(lines[at] ?? '');
    if (lines[at]?.startsWith('---')) break;
    if (!match) continue;
    const depth = match[1]!.length + match[2]!.length;
    if (depth >= limit) continue;
    path.unshift(match[3]!);
    // Above an item stands the list's name, which may be at the dash's own indentation.
    limit = match[2] ? match[1]!.length + 1 : depth;
  }
  return path;
}

const asked = new Map<string, Promise<Schemas>>();

export function schemasOf(resource: Resource): Promise<Schemas> {
  const key = `${apiRoot(resource)} ${resource.kind}`;
  const known = asked.get(key);
  if (known) return known;
  const asking = getJson<Document>(`/openapi/v3${apiRoot(resource)}`).then((document) => Schemas.of(document, resource));
  asked.set(key, asking);
  asking.catch(() => asked.delete(key));
  return asking;
}

export function completer(schemas: () => Promise<Schemas | undefined>) {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const line = context.state.doc.lineAt(context.pos);
    const before = line.text.slice(0, context.pos - line.from);
    const name = /^(\s*(?:- )*)([\w.-]*)$/.exec(before);
    const value = /^(\s*(?:- )*)([\w.$/-]+):\s+([\w.-]*)$/.exec(before);
    if (!name && !value) return null;
    if (!context.explicit && !(name?.[2] || value)) return null;
    const found = await schemas().catch(() => undefined);
    if (!found?.root) return null;
    const lines = context.state.doc.toString().split('\n');
    const path = pathAt(lines, line.number - 1, (name ?? value)![1]!.length);
    if (value) {
      const schema = found.at([...path, value[2]!]);
      const words = schema?.enum ?? (schema?.type === 'boolean' ? ['true', 'false'] : []);
      return words.length > 0 ? { from: context.pos - value[3]!.length, options: words.map((label) => ({ label, type: 'enum' })) } : null;
    }
    const schema = found.at(path);
    const options = Object.entries(schema?.properties ?? {}).map(([label, below]): Completion => {
      const resolved = found.resolve(below);
      const deep = resolved?.properties || resolved?.items || resolved?.additionalProperties;
      return { label, type: 'property', detail: resolved?.type ?? '', info: resolved?.description?.slice(0, 400), apply: deep ? `${label}:` : `${label}: `, boost: schema?.required?.includes(label) ? 1 : 0 };
    });
    return options.length > 0 ? { from: context.pos - name![2]!.length, options } : null;
  };
}
