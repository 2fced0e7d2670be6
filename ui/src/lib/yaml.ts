// Objects as YAML text and back; loaded with the editor only.

import { parseAllDocuments, stringify } from 'yaml';
import type { KubeObject } from '../api/objects';

/** What a person edits: without what the server keeps for itself. */
export function toYaml(object: KubeObject, whole = false): string {
  const shown = structuredClone(object);
  delete shown['meta'];
  const metadata = shown.metadata as unknown as Record<string, unknown> | undefined;
  if (metadata) {
    delete metadata['managedFields'];
    if (!whole) for (const field of ['generation', 'uid', 'creationTimestamp', 'selfLink']) delete metadata[field];
  }
  // Version 1.1 is how the API reads: its `yes`, `on` and `08` must be quoted.
  return stringify(shown, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false });
}

export interface Parsed {
  objects: KubeObject[];
  errors: { message: string; from: number; to: number }[];
}

/** All documents of a text; empty ones are none. */
export function fromYaml(text: string): Parsed {
  const errors: Parsed['errors'] = [];
  const objects: KubeObject[] = [];
  const documents = parseAllDocuments(text, { version: '1.1', merge: false });
  for (const document of Array.isArray(documents) ? documents : []) {
    for (const error of document.errors) errors.push({ message: error.message.split('\n')[0] ?? '', from: error.pos[0], to: error.pos[1] });
    if (document.errors.length > 0) continue;
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (value === null || value === undefined) continue;
    if (typeof value !== 'object' || Array.isArray(value)) {
      errors.push({ message: 'a document is not an object', from: 0, to: 0 });
      continue;
    }
    objects.push(value as KubeObject);
  }
  return { objects, errors };
}
