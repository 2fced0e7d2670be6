// What nodes and pods use now and since the page is open, from metrics.k8s.io where the cluster serves it.

import { untrack } from 'svelte';
import { discovery } from '../api/discovery.svelte';
import { getJson } from '../api/http';
import { apiPath, type Row } from '../api/objects';
import { queryRange } from './prometheus';
import { useQueries, workloadQueries } from './queries';
import { before, joined, sum, useOf, type Measured, type Sample, type Use } from './samples';

const EVERY_MS = 10_000;
/** An hour, at one sample every ten seconds. */
const SAMPLES_MAX = 360;

const HISTORY_SECONDS = 1800;

/** What was measured of CPU and memory before the page was opened; a cluster that keeps no history has none to show. */
async function pastUse([cpu, memory]: [string, string], since: string | undefined, signal: AbortSignal): Promise<Sample[]> {
  try {
    const [cpus, memories] = await Promise.all([queryRange(cpu, HISTORY_SECONDS, signal), queryRange(memory, HISTORY_SECONDS, signal)]);
    return before(cpus, memories, (Date.parse(since ?? '') || 0) / 1000);
  } catch {
    // Charts then begin with what is measured from now on.
    return [];
  }
}

/** Of nodes or pods; `name` narrows it to one, made at `since`. It asks while the page is in sight: metrics know no watch. */
export function followMetrics(plural: 'nodes' | 'pods', namespace: () => string, name: () => string = () => '', since: () => string | undefined = () => undefined) {
  let uses = $state.raw(new Map<string, Use>());
  let samples = $state.raw<Sample[]>([]);

  async function past(signal: AbortSignal): Promise<void> {
    if (!name()) return;
    const known = await pastUse(useQueries(plural, namespace(), name()), since(), signal);
    samples = joined(known, samples, SAMPLES_MAX);
  }

  const path = $derived.by(() => {
    const resource = discovery.find(`${plural}.metrics.k8s.io`);
    return resource && apiPath(resource, namespace(), name());
  });

  /** A time without a figure is a gap in the chart, once it has begun. */
  function add(total: Use | undefined) {
    if (!total && samples.length === 0) return;
    samples = [...samples.slice(1 - SAMPLES_MAX), { time: Date.now() / 1000, cpu: total?.cpu ?? null, memory: total?.memory ?? null }];
  }

  $effect(() => {
    const asked = path;
    uses = new Map();
    samples = [];
    if (!asked) return;
    const ending = new AbortController();
    const ask = async () => {
      if (document.hidden) return;
      try {
        const answer = await getJson<Measured & { items?: Measured[] }>(asked, { signal: ending.signal });
        uses = new Map((answer.items ?? [answer]).flatMap((one) => [[key(one), useOf(one)] as const].filter((pair): pair is [string, Use] => pair[1] !== undefined)));
        add(uses.size > 0 ? sum(uses.values()) : undefined);
      } catch {
        if (ending.signal.aborted) return;
        // Not served, not allowed, or not measured yet: what it was before is not what it is.
        uses = new Map();
        add(undefined);
      }
    };
    void past(ending.signal);
    void ask();
    const timer = setInterval(ask, EVERY_MS);
    return () => {
      clearInterval(timer);
      ending.abort();
    };
  });

  return {
    /** By `namespace/name`, of nodes by name. */
    get uses() {
      return uses;
    },
    get samples() {
      return samples;
    },
    /** Of all together; `undefined` where it is not known. */
    get total(): Use | undefined {
      return uses.size > 0 ? sum(uses.values()) : undefined;
    },
  };
}

export interface Workload {
  namespace: string;
  /** Those that there are. */
  pods: Row[];
  /** How they are called, also those that are gone; empty as long as it is not known. */
  names: string;
  since: string | undefined;
}

/** Of the pods of a workload together. */
export function followWorkloadMetrics(workload: () => Workload) {
  const namespace = $derived(workload().namespace);
  const names = $derived(workload().names);
  const use = followMetrics('pods', () => namespace);
  /** Of some, as long as new ones have not been measured. */
  const measured = $derived(workload().pods.flatMap((row) => use.uses.get(`${namespace}/${row.meta.name}`) ?? []));
  let extent = $state.raw({ known: 0, all: 0 });
  let samples = $state.raw<Sample[]>([]);
  /** The history is asked once: from then on the page knows itself. */
  let asked = false;

  $effect(() => {
    const last = use.samples.at(-1);
    const earlier = untrack(() => samples);
    if (!last || earlier.at(-1)?.time === last.time) return;
    if (measured.length === 0 && earlier.length === 0) return;
    const total = measured.length > 0 ? sum(measured) : { cpu: null, memory: null };
    extent = { known: measured.length, all: untrack(() => workload().pods.length) };
    samples = joined(earlier, [{ time: last.time, ...total }], SAMPLES_MAX);
  });

  const ending = new AbortController();
  $effect(() => {
    if (!names || asked) return;
    asked = true;
    const since = untrack(() => workload().since);
    void pastUse(workloadQueries(namespace, names), since, ending.signal).then((known) => {
      samples = joined(known, samples, SAMPLES_MAX);
    });
  });
  $effect(() => () => ending.abort());

  return {
    get samples() {
      return samples;
    },
    /** Of how many of how many pods the newest sample is. */
    get extent() {
      return extent;
    },
  };
}

function key(one: Measured): string {
  return one.metadata.namespace ? `${one.metadata.namespace}/${one.metadata.name}` : one.metadata.name;
}
