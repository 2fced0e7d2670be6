// Short words about what was just done; a refusal stays until it is read.

import { asApiError } from '../api/status';

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const STAYS_MS = 4000;
const MOST = 5;

class Toasts {
  list = $state<Toast[]>([]);
  private next = 1;

  say(text: string): void {
    const { id } = this.add(text, false);
    setTimeout(() => this.dismiss(id), STAYS_MS);
  }

  complain(error: unknown): void {
    this.add(asApiError(error).message, true);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  private add(text: string, bad: boolean): Toast {
    const toast = { id: this.next++, text, bad };
    this.list = [...this.list.slice(1 - MOST), toast];
    return toast;
  }
}

export const toasts = new Toasts();
