// A kind that the cluster has by a CustomResourceDefinition is listed, shown, completed, made and deleted as any other.

import { check, step } from '../browser.mjs';

export async function customKinds(tab) {
  const { page } = tab;
  await step('a custom kind has its place', async () => {
    await tab.go('/kinds');
    const group = page.locator('.groups section').filter({ hasText: 'shop.example' });
    await group.getByText('custom', { exact: true }).waitFor();
    await group.getByRole('link', { name: 'Widget' }).click();
    await page.getByRole('heading', { name: 'Widget', level: 1 }).waitFor();
    await page.getByText('No Widget here').waitFor();
    await page.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name: 'Widget' }).waitFor();
  });
  await step('it is completed from its own schema, refused by it, and made', async () => {
    await tab.go('/k/widgets.shop.example?ns=shop');
    await page.getByRole('main').getByRole('link', { name: 'Create' }).click();
    await page.locator('.cm-content').waitFor();
    await page.locator('.cm-line').filter({ hasText: /^\s*name:/ }).first().click();
    await page.keyboard.press('End');
    await page.keyboard.type('gear');
    await page.keyboard.press('Control+End');
    await page.keyboard.type('spec:\n  colour: g');
    await page.locator('.cm-tooltip-autocomplete').getByText('green').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Check' }).click();
    await page.getByRole('alert').getByText('Unsupported value').waitFor();
    await tab.look('custom-refused');
    await page.locator('.cm-line').filter({ hasText: 'colour: g' }).click();
    await page.keyboard.press('End');
    await page.keyboard.type('reen');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Check' }).click();
    await page.getByText('Widget gear: would be new').waitFor();
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    await page.getByRole('heading', { name: 'gear', level: 1 }).waitFor();
    await page.getByText('green').first().waitFor();
    await tab.look('custom');
  });
  await step('its own columns are listed', async () => {
    await tab.go('/k/widgets.shop.example?ns=shop');
    await page.getByRole('columnheader', { name: 'Colour' }).waitFor();
    await page.getByRole('row').filter({ hasText: 'gear' }).getByText('green').waitFor();
    await tab.look('custom-list');
  });
  await step('and it is deleted when that is meant', async () => {
    await page.getByRole('row').getByRole('link', { name: 'gear' }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await tab.look('delete');
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByText('deleted', { exact: true }).waitFor();
    check((await page.getByRole('button', { name: 'Delete' }).count()) === 0, 'what is gone is not to be deleted again');
  });
}
