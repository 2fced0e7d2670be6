// Dark or light: the system's choice until the user has one.

const KEPT = 'sampan.theme';
type Choice = 'system' | 'light' | 'dark';

class Theme {
  choice = $state<Choice>((localStorage.getItem(KEPT) as Choice | null) ?? 'system');
  private system = matchMedia('(prefers-color-scheme: dark)');
  dark = $state(false);

  constructor() {
    this.system.addEventListener('change', () => this.apply());
    this.apply();
  }

  choose(choice: Choice): void {
    this.choice = choice;
    localStorage.setItem(KEPT, choice);
    this.apply();
  }

  toggle(): void {
    this.choose(this.dark ? 'light' : 'dark');
  }

  private apply(): void {
    this.dark = this.choice === 'dark' || (this.choice === 'system' && this.system.matches);
    document.documentElement.dataset['theme'] = this.dark ? 'dark' : 'light';
  }
}

export const theme = new Theme();
