// Which colour a word of the API has: one place, so that a word means the same on every page.

export type Tone = 'good' | 'busy' | 'warn' | 'bad' | 'idle';

const TONES: Record<Tone, string[]> = {
  good: ['Running', 'Ready', 'Active', 'Bound', 'Available', 'True', 'Healthy', 'Established', 'Issued', 'Normal'],
  idle: ['Completed', 'Succeeded', 'Complete', 'Suspended', 'Terminated', 'Released', 'False', 'Unknown'],
  busy: ['Pending', 'ContainerCreating', 'PodInitializing', 'Terminating', 'Progressing', 'Waiting', 'Scheduled'],
  warn: ['NotReady', 'SchedulingDisabled', 'Warning', 'Evicted', 'Unschedulable', 'NodeLost'],
  bad: ['Failed', 'Error', 'OOMKilled', 'CrashLoopBackOff', 'ImagePullBackOff', 'ErrImagePull', 'Lost', 'ContainerStatusUnknown',
    'CreateContainerConfigError', 'CreateContainerError', 'InvalidImageName', 'RunContainerError', 'DeadlineExceeded'],
};

const BY_WORD = new Map(Object.entries(TONES).flatMap(([tone, words]) => words.map((word) => [word, tone as Tone])));

export function tone(word: string): Tone {
  const known = BY_WORD.get(word);
  if (known) return known;
  // `Ready,SchedulingDisabled`, `Init:0/2`, `Init:Error`, `Running (2m ago)`
  const parts = word.split(/[,:\s]/).map((part) => BY_WORD.get(part));
  for (const worst of ['bad', 'warn', 'busy', 'good'] as Tone[]) if (parts.includes(worst)) return worst;
  if (word.startsWith('Init:') || word.startsWith('PodInit')) return 'busy';
  return /BackOff|Err|Fail|Kill/.test(word) ? 'bad' : 'idle';
}

/** `2/3`: whether as many are there as should be. */
export function fractionTone(text: string): Tone {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  if (!match) return 'idle';
  if (match[1] === match[2]) return match[2] === '0' ? 'idle' : 'good';
  return match[1] === '0' ? 'bad' : 'warn';
}

const WORST: Tone[] = ['bad', 'warn', 'busy', 'good', 'idle'];

export function worst(tones: Iterable<Tone>): Tone {
  const all = new Set(tones);
  return WORST.find((one) => all.has(one)) ?? 'idle';
}
