import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { session } from './api/session.svelte';
import { language } from './lib/i18n.svelte';
import './lib/theme.svelte';

const target = document.getElementById('app');
if (!target) throw new Error('the page has no place for the app');
await language.ready;
mount(App, { target });
void session.begin();
