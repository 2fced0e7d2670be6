// What pages show, kept alive by watches: one per kind, namespace and selector, shared by all who look.

import { apiPath, type Column, type KubeObject, type Metadata, type Resource, type Row } from './objects';
import type { ApiError } from './status';
import { watch, type WatchEvent } from './watch';

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
/** Changes are shown together: 5,000 pods that arrive at once are drawn a few times, not 5,000 times. */
const GATHER_MS = 80;
/** A page that is left and entered again finds its feed alive. */
const LINGER_MS = 20_000;

type Phase = 'loading' | 'live' | 'broken' | 'refused';

interface Query {
  namespace?: string;
  fieldSelector?: string;
  labelSelector?: string;
}

abstract class Feed<Item extends { meta: Metadata }> {
  items = $state.raw<Item[]>([]);
  phase = $state<Phase>('loading');
  error = $state.raw<ApiError | undefined>(undefined);

  protected readonly known = new Map<string, Item>();
  private readonly ending = new AbortController();
  private gathering: ReturnType<typeof setTimeout> | undefined;
  private synced = false;
  private restarting = false;
  /** Seen since the last restart: what is not is gone. */
  private readonly seen = new Set<string>();

  constructor(path: string, accept: string, query: Query) {
    const selectors: Record<string, string> = {};
    if (query.fieldSelector) selectors['fieldSelector'] = query.fieldSelector;
    if (query.labelSelector) selectors['labelSelector'] = query.labelSelector;
    void watch(
      {
        path,
        accept,
        query: selectors,
        restarted: () => {
          this.restarting = true;
          this.seen.clear();
        },
        event: (event) => this.take(event),
        synced: () => {
          for (const key of this.known.keys()) if (!this.seen.has(key)) this.known.delete(key);
          this.restarting = false;
          this.synced = true;
          this.gather();
        },
        failed: (error) => {
          this.error = error;
          if (error) this.phase = [401, 403, 404, 405].includes(error.code) ? 'refused' : 'broken';
          else if (this.synced) this.phase = 'live';
        },
      },
      this.ending.signal,
    );
  }

  protected abstract read(event: WatchEvent): Item[];

  private take(event: WatchEvent): void {
    for (const item of this.read(event)) {
      const key = item.meta.uid || `${item.meta.namespace ?? ''}/${item.meta.name}`;
      if (event.type === 'DELETED') this.known.delete(key);
      else this.known.set(key, item);
      if (this.restarting) this.seen.add(key);
    }
    this.gather();
  }

  private gather(): void {
    this.gathering ??= setTimeout(() => {
      this.gathering = undefined;
      this.items = [...this.known.values()];
      if (this.synced && !this.error) this.phase = 'live';
    }, GATHER_MS);
  }

  end(): void {
    clearTimeout(this.gathering);
    this.ending.abort();
  }
}

/** A kind as the server's table: its columns and metadata, nothing more. */
export class TableFeed extends Feed<Row> {
  columns = $state.raw<Column[]>([]);

  protected read(event: WatchEvent): Row[] {
    const columns = event.object['columnDefinitions'] as Column[] | undefined;
    if (columns?.length) this.columns = columns;
    const rows = (event.object['rows'] ?? []) as { cells: unknown[]; object: KubeObject }[];
    return rows.map((row) => ({ cells: row.cells, meta: row.object.metadata }));
  }
}

/** Objects whole, for where few are looked at closely. */
export class ObjectFeed extends Feed<KubeObject & { meta: Metadata }> {
  protected read(event: WatchEvent): (KubeObject & { meta: Metadata })[] {
    return [Object.assign(event.object, { meta: event.object.metadata })];
  }
}

interface Shared {
  feed: TableFeed | ObjectFeed;
  users: number;
  lingering?: ReturnType<typeof setTimeout>;
}

const shared = new Map<string, Shared>();

function acquire<F extends TableFeed | ObjectFeed>(key: string, make: () => F): F {
  let entry = shared.get(key);
  if (entry && entry.feed.phase === 'refused' && entry.users === 0) {
    entry.feed.end();
    shared.delete(key);
    entry = undefined;
  }
  if (!entry) shared.set(key, (entry = { feed: make(), users: 0 }));
  clearTimeout(entry.lingering);
  entry.users += 1;
  return entry.feed as F;
}

function release(key: string): void {
  const entry = shared.get(key);
  if (!entry || --entry.users > 0) return;
  entry.lingering = setTimeout(() => {
    if (shared.get(key) !== entry || entry.users > 0) return;
    shared.delete(key);
    entry.feed.end();
  }, LINGER_MS);
}

/** Ends everything, as when another user logs in. */
export function endFeeds(): void {
  for (const entry of shared.values()) {
    clearTimeout(entry.lingering);
    entry.feed.end();
  }
  shared.clear();
}

export interface Wanted extends Query {
  resource: Resource | undefined;
}

/** Follows what `wanted` says while the component that calls it lives; `undefined` resource is nothing. */
function following<F extends TableFeed | ObjectFeed>(
  form: string,
  wanted: () => Wanted,
  make: (path: string, query: Query) => F,
): { readonly feed: F | undefined } {
  let holder: F | undefined = $state.raw(undefined);
  const key = $derived.by(() => {
    const { resource, namespace = '', fieldSelector = '', labelSelector = '' } = wanted();
    if (!resource) return '';
    const path = apiPath(resource, namespace);
    return [form, path, fieldSelector, labelSelector].join('\n');
  });
  $effect.pre(() => {
    const own = key;
    if (!own) {
      holder = undefined;
      return;
    }
    const [, path = '', fieldSelector, labelSelector] = own.split('\n');
    holder = acquire(own, () => make(path, { fieldSelector, labelSelector }));
    return () => release(own);
  });
  return {
    get feed() {
      return holder;
    },
  };
}

export function followTable(wanted: () => Wanted): { readonly feed: TableFeed | undefined } {
  return following('table', wanted, (path, query) => new TableFeed(path, TABLE, query));
}

export function followObjects(wanted: () => Wanted): { readonly feed: ObjectFeed | undefined } {
  return following('object', wanted, (path, query) => new ObjectFeed(path, 'application/json', query));
}
