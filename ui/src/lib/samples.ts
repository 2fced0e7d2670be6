// What was measured over time. A figure that nobody knows is `null`, never 0.

import { quantity } from './format';
import type { Answer } from './prometheus';

export interface Use {
  cpu: number;
  memory: number;
}

export interface Sample {
  /** Seconds since the epoch. */
  time: number;
  cpu: number | null;
  memory: number | null;
}

export interface Measured {
  metadata: { name: string; namespace?: string };
  usage?: { cpu: string; memory: string };
  containers?: { name: string; usage: { cpu: string; memory: string } }[];
}

/** Of a node, or of a pod's containers together; `undefined` where none was measured. */
export function useOf(one: Measured): Use | undefined {
  const usages = one.usage ? [one.usage] : (one.containers ?? []).map((container) => container.usage);
  if (usages.length === 0) return undefined;
  return sum(usages.map((usage) => ({ cpu: quantity(usage.cpu), memory: quantity(usage.memory) })));
}

export function sum(uses: Iterable<Use>): Use {
  const total = { cpu: 0, memory: 0 };
  for (const use of uses) {
    total.cpu += use.cpu;
    total.memory += use.memory;
  }
  return total;
}

/**
 * What the cluster's history knows from `since` on: a time at which only one of both was measured has the other unknown.
 * What was before is another's, of the same name.
 */
export function before(cpus: Answer, memories: Answer, since: number): Sample[] {
  const of = (answer: Answer) => new Map(answer.times.map((time, index) => [time, answer.series[0]?.values[index] ?? null]));
  const [cpu, memory] = [of(cpus), of(memories)];
  const times = [...new Set([...cpu.keys(), ...memory.keys()])].sort((a, b) => a - b);
  return times.filter((time) => time >= since).map((time) => ({ time, cpu: cpu.get(time) ?? null, memory: memory.get(time) ?? null }));
}

/** Earlier samples as far as they are earlier, then the later ones: the newest `most` of them. */
export function joined(earlier: Sample[], later: Sample[], most: number): Sample[] {
  const first = later[0]?.time ?? Infinity;
  return [...earlier.filter((one) => one.time < first), ...later].slice(-most);
}

/** What is older says what was used, not what is. */
const NOW_SECONDS = 60;

/** The newest sample, if it is of now. */
export function latest(samples: Sample[], nowSeconds: number): Sample | undefined {
  const last = samples.at(-1);
  return last && nowSeconds - last.time <= NOW_SECONDS ? last : undefined;
}
