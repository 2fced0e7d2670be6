// Every page is looked at once, some in the dark, in other languages, on a phone, and by keyboard alone.

import { check, step } from '../browser.mjs';

/** Its name, its path, what must be there before the picture, and what is done first. */
const PAGES = [
  ['overview', '/', '.meters [role=meter]'],
  ['workloads', '/workloads', '[role=row] a'],
  ['pods', '/k/pods', '[role=row] a'],
  ['nodes', '/nodes', '.map [role=meter]'],
  ['events', '/events', '[role=row] a'],
  ['cluster-logs', '/logs?grep=line', '.log .line'],
  ['services', '/k/services', '[role=row] a'],
  ['service', '/k/services/shop/web', 'li .badge.good'],
  ['ingresses', '/k/ingresses.networking.k8s.io', 'text=No Ingress here'],
  ['policies', '/k/networkpolicies.networking.k8s.io', 'text=No NetworkPolicy here'],
  ['configmaps', '/k/configmaps', '[role=row] a'],
  ['configmap', '/k/configmaps/shop/kube-root-ca.crt', 'pre'],
  ['secrets', '/k/secrets', '[role=row] a'],
  ['claims', '/k/persistentvolumeclaims', 'text=No PersistentVolumeClaim here'],
  ['volumes', '/k/persistentvolumes', 'text=No PersistentVolume here'],
  ['storage', '/k/storageclasses.storage.k8s.io', '[role=row] a[title=quick]'],
  ['namespaces', '/k/namespaces', '[role=row] a[title=shop]'],
  ['kinds', '/kinds', '.groups section'],
  ['create-yaml', '/create?kind=configmaps', '.cm-content'],
  ['any-kind', '/k/clusterroles.rbac.authorization.k8s.io/-/view', '.body summary'],
  ['autoscaled', '/k/deployments.apps/shop/resting', 'text=2 to 10 replicas'],
  ['nothing', '/nowhere', 'text=There is no such page'],
];

export async function pages(tab) {
  const { page } = tab;
  for (const [name, path, ready] of PAGES) {
    await step(`page ${name}`, async () => {
      await tab.go(path);
      await page.locator(ready).first().waitFor();
      await tab.look(name);
    });
  }
  await step('page node', async () => {
    await tab.go('/nodes');
    await page.locator('.map a').first().click();
    await page.locator('.meters [role=meter]').first().waitFor();
    await page.getByRole('main').getByRole('link', { name: 'busy' }).waitFor();
    await tab.look('node');
  });
  await step('a secret is shown only when asked for', async () => {
    await tab.go('/k/secrets/shop/key');
    await page.getByText('password').waitFor();
    check((await page.getByText('open sesame').count()) === 0, 'hidden at first');
    await page.getByRole('button', { name: 'Reveal' }).click();
    await page.getByText('open sesame').waitFor();
    await tab.look('secret');
  });
  await explore(tab);
  await access(tab);
  await keyboard(tab);
  await dark(tab);
  await languages(tab);
  await phone(tab);
}

async function explore(tab) {
  const { page } = tab;
  await step('metrics: a query of one’s own', async () => {
    await tab.go('/metrics');
    await page.locator('.uplot canvas').waitFor();
    await tab.look('metrics');
    await page.getByLabel('Query (PromQL)').fill('sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="shop",container!=""}[1m]))');
    await page.getByRole('button', { name: 'Show' }).click();
    const busy = await page.locator('li').filter({ hasText: 'pod=busy' }).locator('strong').innerText();
    check(/^\d+m$/.test(busy) && Number.parseInt(busy, 10) < 260, `${busy} of the limit of 200m`);
    await tab.look('metrics-query');
    await page.getByLabel('Query (PromQL)').fill('sum(');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByRole('alert').getByText(/^parse error/).waitFor();
    check((await page.locator('.uplot').count()) === 0, 'a query that is wrong shows no chart of another');
    await tab.look('metrics-wrong');
  });
}

async function access(tab) {
  const { page } = tab;
  await step('access: who can do what', async () => {
    await tab.go('/access?ns=shop');
    await page.getByLabel('Verb').selectOption('list');
    await page.locator('li').filter({ hasText: 'shop/clerk' }).waitFor();
    await page.getByRole('button', { name: 'Can I?' }).click();
    await page.getByText('Yes', { exact: true }).waitFor();
    await tab.look('access');
    await page.getByLabel('Verb').selectOption('delete');
    await page.locator('li').filter({ hasText: 'shop/clerk' }).waitFor({ state: 'detached' });
  });
}

async function keyboard(tab) {
  const { page } = tab;
  await step('the palette goes anywhere by keys', async () => {
    await tab.go('/');
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'Go to anything' }).fill('deployments');
    await page.getByRole('listbox').getByRole('option').first().waitFor();
    await tab.look('palette');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Deployment', level: 1 }).waitFor();
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'Go to anything' }).fill('wd');
    await page.getByRole('listbox').getByRole('option').filter({ hasText: 'Widget' }).waitFor();
    await page.keyboard.press('Escape');
    await closed(tab);
  });
  await step('and so do letters, rows and the filter', async () => {
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await page.getByRole('heading', { name: 'Pods', level: 1 }).waitFor();
    await page.getByRole('row').nth(1).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('busy');
    await tab.until(() => document.querySelectorAll('.rows [role=row]').length === 1);
    await page.getByRole('table').focus();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'busy', level: 1 }).waitFor();
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
    await tab.look('keys');
    await page.keyboard.press('Escape');
    await closed(tab);
  });
}

/** A dialog that was left by Escape is hidden at once, but holds the focus until the next frame: no letter is heard. */
async function closed(tab) {
  await tab.until(() => !document.querySelector('dialog') && document.activeElement === document.body);
}

async function dark(tab) {
  const { page } = tab;
  await step('dark', async () => {
    await tab.go('/');
    await page.getByRole('button', { name: 'Dark theme' }).click();
    const views = [
      ['overview', '/', '.meters [role=meter]'], ['workloads', '/workloads', '[role=row] a'], ['pods', '/k/pods?ns=shop', '[role=row] a'],
      ['pod', '/k/pods/shop/busy', '.uplot canvas'], ['logs', '/k/deployments.apps/shop/talker/logs', '.log .line'],
      ['yaml', '/k/deployments.apps/shop/web/yaml', '.cm-content'], ['metrics', '/metrics', '.uplot canvas'],
    ];
    for (const [name, path, ready] of views) {
      await tab.go(path);
      await page.locator(ready).first().waitFor();
      const [red, green, blue] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
      check(red + green + blue < 150, `${name} is dark`);
      await tab.look(`dark-${name}`);
    }
    await page.getByRole('button', { name: 'Light theme' }).click();
  });
}

async function languages(tab) {
  const { page } = tab;
  for (const [code, heading, workloads] of [['ja', '概要', 'ワークロード'], ['zh', '概览', '工作负载'], ['en', 'Overview', 'Workloads']]) {
    await step(`language ${code}`, async () => {
      await tab.go('/');
      await page.locator('select.language').selectOption(code);
      await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
      check((await page.locator('html').getAttribute('lang')) === code, 'the page says its language');
      await page.locator('.meters [role=meter]').first().waitFor();
      if (code === 'en') return;
      await tab.look(`overview-${code}`);
      await tab.go('/k/deployments.apps/shop/web');
      await page.locator('.pods a').first().waitFor();
      await tab.look(`deployment-${code}`);
      await tab.go('/workloads');
      await page.getByRole('heading', { name: workloads, level: 1 }).waitFor();
      await page.locator('[role=row] a').first().waitFor();
      await tab.look(`workloads-${code}`);
    });
  }
}

async function phone(tab) {
  const { page } = tab;
  await step('a phone', async () => {
    await page.setViewportSize({ width: 390, height: 780 });
    const views = [
      ['overview', '/', '.meters [role=meter]'], ['workloads', '/workloads', '[role=row] a'], ['pods', '/k/pods', '[role=row] a'],
      ['deployment', '/k/deployments.apps/shop/web', '.pods a'], ['pod', '/k/pods/shop/busy', '.uplot canvas'], ['nodes', '/nodes', '.map a'],
      ['logs', '/k/deployments.apps/shop/talker/logs', '.log .line'], ['cluster-logs', '/logs?grep=line', '.log .line'],
      ['events', '/events', '[role=row] a'], ['yaml', '/k/deployments.apps/shop/web/yaml', '.cm-content'], ['access', '/access', 'li strong'],
      ['create', '/create', 'form'], ['metrics', '/metrics', '.uplot canvas'],
    ];
    for (const [name, path, ready] of views) {
      await tab.go(path);
      await page.locator(ready).first().waitFor();
      await tab.look(`phone-${name}`);
    }
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name: 'Nodes' }).click({ trial: true });
    await tab.look('phone-menu');
    await page.setViewportSize({ width: 1360, height: 860 });
  });
}
