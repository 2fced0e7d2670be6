// Deployments: made, scaled, restarted, rolled back, edited; and logs of all their pods.

import { check, step } from '../browser.mjs';

const rolled = (page, text) => page.getByTestId('rollout').getByText(text).waitFor();

export async function deployments(tab, image) {
  const { page } = tab;
  await step('a form makes a deployment, and its rollout is seen', async () => {
    await tab.go('/create?ns=shop');
    await page.getByLabel('Name', { exact: true }).fill('web');
    await page.getByLabel('Image').fill(image);
    await page.getByLabel('Replicas').fill('3');
    await page.getByLabel('Port').fill('8080');
    await tab.look('create-form');
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    await page.getByRole('heading', { name: 'web', exact: true }).waitFor();
    await rolled(page, '3 of 3 updated, 3 ready');
    await page.getByText('Rolled out', { exact: true }).waitFor();
    await tab.look('deployment');
  });
  await step('it is scaled, and the page follows', async () => {
    await page.getByRole('button', { name: 'Scale' }).click();
    await page.getByLabel('Replicas').fill('4');
    await tab.look('scale');
    await page.getByRole('dialog').getByRole('button', { name: 'Scale' }).click();
    await rolled(page, '4 of 4 updated, 4 ready');
    await page.getByText('Rolled out', { exact: true }).waitFor();
  });
  await yaml(tab);
  await step('logs of its pods, at once', async () => {
    await tab.go('/k/deployments.apps/shop/talker/logs');
    await tab.until(() => document.querySelectorAll('.sources span').length === 3);
    // Of each of the three there are lines, and they go on by themselves.
    await tab.until(() => new Set([...document.querySelectorAll('.log .line .before')].map((one) => one.textContent)).size === 3);
    const last = await page.evaluate(() => Number(/line (\d+)/.exec([...document.querySelectorAll('.log .line')].at(-1).textContent)[1]));
    await tab.until((seen) => {
      const text = [...document.querySelectorAll('.log .line')].at(-1)?.textContent;
      return Number(/line (\d+)/.exec(text)?.[1]) > seen + 1;
    }, last);
    await page.getByLabel('Times', { exact: true }).check();
    await tab.look('logs');
    await page.getByLabel('Filter (regular expression)').fill('line 2$');
    await tab.until(() => {
      const lines = [...document.querySelectorAll('.log .line')];
      return lines.length > 0 && lines.every((line) => line.textContent.endsWith('line 2'));
    });
  });
}

async function yaml(tab) {
  const { page } = tab;
  const text = page.locator('.cm-content');
  const change = async (from, to) => {
    await page.locator('.cm-line').filter({ hasText: from }).first().click();
    await page.keyboard.press('Home');
    await page.keyboard.press('Shift+End');
    await page.keyboard.press('Delete');
    await page.keyboard.type(to);
    await page.keyboard.press('Escape');
  };
  await step('YAML: fields are completed from the schema', async () => {
    await tab.go('/k/deployments.apps/shop/web/yaml');
    await text.waitFor();
    await page.locator('.cm-line').filter({ hasText: /^\s*replicas: 4/ }).first().click();
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    await page.keyboard.type('minRea');
    await page.locator('.cm-tooltip-autocomplete').getByText('minReadySeconds').waitFor();
    await page.locator('.cm-tooltip-autocomplete [aria-selected=true]').getByText('minReadySeconds').waitFor();
    await tab.look('yaml-completion');
    // CodeMirror takes no choice within a moment of offering it, so that nobody takes one unseen.
    await tab.until(() => {
      document.querySelector('.cm-tooltip-autocomplete [aria-selected=true]')?.dispatchEvent(new MouseEvent('mousedown', { bubbles: true, button: 0 }));
      return [...document.querySelectorAll('.cm-line')].some((line) => line.textContent.includes('minReadySeconds:'));
    });
    await change(/minReadySeconds:/, '');
  });
  await step('YAML: a change that is refused, and one that is accepted', async () => {
    await change(/^\s*replicas: 4/, 'replicas: -4');
    await page.getByRole('button', { name: 'Review changes' }).click();
    await page.getByRole('alert').getByText('must be greater than or equal to 0').waitFor();
    await tab.look('yaml-refused');
    await change(/^\s*replicas: -4/, 'replicas: 2');
    await page.getByRole('button', { name: 'Review changes' }).click();
    await page.getByTestId('difference').getByText('replicas: 2').waitFor();
    await page.getByTestId('difference').locator('.cm-deletedChunk').getByText('replicas: 4').waitFor();
    await tab.look('yaml-difference');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('button', { name: 'Review changes' }).waitFor();
    await tab.go('/k/deployments.apps/shop/web');
    await rolled(page, '2 of 2 updated, 2 ready');
  });
}

/** With a deployment whose pods take a while to count. */
export async function rollout(tab) {
  const { page } = tab;
  await step('a restart is watched live', async () => {
    await tab.go('/k/deployments.apps/shop/steady');
    await page.getByText('Rolled out', { exact: true }).waitFor();
    const before = await page.locator('.pods a').allInnerTexts();
    await page.getByRole('button', { name: 'Restart' }).click();
    await page.getByText('Rolling out', { exact: true }).waitFor();
    await tab.look('rollout');
    await page.getByText('Rolled out', { exact: true }).waitFor();
    await page.getByText('Revision 2', { exact: true }).waitFor();
    await tab.until((old) => [...document.querySelectorAll('.pods a')].every((one) => !old.includes(one.textContent)), before);
  });
  await step('and rolled back', async () => {
    const row = (name) => page.locator('.revision').filter({ hasText: name });
    await row('Revision 1').getByRole('button', { name: 'Roll back' }).click();
    await row('Revision 3').getByText('current').waitFor();
    check((await row('Revision 1').count()) === 0, 'the first revision has become the third');
    await tab.look('rolled-back');
    await page.getByText('Rolled out', { exact: true }).waitFor();
  });
}
