// The workloads of the chosen namespace, live: eight shared watches, put together once per change.

import { discovery } from '../api/discovery.svelte';
import { followTable, type TableFeed } from '../api/feeds.svelte';
import { columnOf, workloads, type Owned, type Workload } from './ownership';

const OWNERS: [string, string][] = [
  ['deployments.apps', 'Ready'],
  ['replicasets.apps', ''],
  ['statefulsets.apps', 'Ready'],
  ['daemonsets.apps', ''],
  ['replicationcontrollers', ''],
  ['jobs.batch', 'Completions'],
  ['cronjobs.batch', ''],
];

export function followWorkloads(namespace: () => string) {
  const owners = OWNERS.map(([id, ready]) => ({
    id,
    ready,
    table: followTable(() => ({ resource: discovery.find(id), namespace: namespace() })),
  }));
  const pods = followTable(() => ({ resource: discovery.find('pods'), namespace: namespace() }));

  const list: Workload[] = $derived.by(() => {
    const owned: Owned[] = [];
    for (const { id, ready, table } of owners) {
      const kind = discovery.find(id)?.kind ?? '';
      if (table.feed) owned.push({ resource: id, kind, rows: withCounts(id, table.feed), readyColumn: readyOf(id, ready, table.feed) });
    }
    const columns = pods.feed?.columns ?? [];
    return workloads(owned, pods.feed?.items ?? [], columnOf(columns, 'Status'), columnOf(columns, 'Ready'));
  });

  return {
    get list() {
      return list;
    },
    get pods(): TableFeed | undefined {
      return pods.feed;
    },
    get deployments(): TableFeed | undefined {
      return owners[0]!.table.feed;
    },
    get replicaSets(): TableFeed | undefined {
      return owners[1]!.table.feed;
    },
  };
}

/** Kinds that count in two columns get one more cell, `ready/desired`. */
function withCounts(id: string, feed: TableFeed) {
  const desired = columnOf(feed.columns, 'Desired') ?? columnOf(feed.columns, 'DESIRED');
  const ready = columnOf(feed.columns, 'Ready');
  if (!['replicasets.apps', 'daemonsets.apps', 'replicationcontrollers'].includes(id) || desired === undefined || ready === undefined) {
    return feed.items;
  }
  return feed.items.map((row) => ({ ...row, cells: [...row.cells, `${row.cells[ready]}/${row.cells[desired]}`] }));
}

function readyOf(id: string, name: string, feed: TableFeed): number | undefined {
  if (name) return columnOf(feed.columns, name);
  return ['replicasets.apps', 'daemonsets.apps', 'replicationcontrollers'].includes(id) ? feed.columns.length : undefined;
}
