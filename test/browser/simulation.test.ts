// The page of a simulated run in a real browser: it draws, zooms, and says what one points at.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { page as pageOf } from '../../sim/report/page.ts';
import { run } from '../../sim/run.ts';
import type { Turn } from '../../sim/world.ts';
import { launch, obstacle } from './browser.ts';

const read = (name: string): string =>
  readFileSync(join(import.meta.dirname, '..', '..', 'sim', 'report', name), 'utf8');

describe('the page of a simulated run', { skip: obstacle() ?? false }, () => {
  let browser: Browser;
  let page: Page;
  const complaints: string[] = [];
  const asked: string[] = [];

  before(async () => {
    const turns: Turn[] = [];
    const tracer = (turn: Turn): void => void turns.push(turn);
    const about = { seed: '3', events: 6_000, budget: 'available', faults: null } as const;
    const result = await run({ ...about, lyingDisks: true, tracer });
    const parts = { template: read('page.html'), script: read('page.js') };
    browser = await launch();
    page = await browser.newPage({ viewport: { width: 1280, height: 1100 } });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => asked.push(request.url()));
    await page.setContent(pageOf(result, turns, parts));
  });
  after(() => browser?.close());

  /** How many pixels of the chart are not empty. As text: this program knows no DOM. */
  const inked = (): Promise<number> =>
    page.evaluate<number>(`(() => {
      const area = document.getElementById('area');
      const { data } = area.getContext('2d').getImageData(0, 0, area.width, area.height);
      let count = 0;
      for (let at = 3; at < data.length; at += 4) if (data[at] > 0) count += 1;
      return count;
    })()`);

  const said = async (): Promise<string> => (await page.locator('#said').textContent()) ?? '';

  test('lanes, the violation and the faults are there', async () => {
    const lanes = await page.locator('.lane').allTextContents();
    for (const name of ['k1 controller', 'r1 replica', 'w1 client']) {
      assert.ok(lanes.includes(name), `${name} is not among ${lanes.join(', ')}`);
    }
    assert.match((await page.locator('.bad').first().textContent()) ?? '', /durability/);
    assert.match((await page.locator('#list').textContent()) ?? '', /fault \d+: /);
  });

  test('something is drawn, and another stretch looks different', async () => {
    await page.locator('#all').click();
    await page.waitForTimeout(300);
    const [drawn, whole] = [await inked(), await said()];
    assert.ok(drawn > 5_000, `${drawn} pixels are drawn`);
    assert.match(whole, /^\d+ messages in view/);
    for (let times = 0; times < 5; times += 1) await page.locator('#nearer').click();
    await page.waitForTimeout(300);
    assert.notEqual(await said(), whole);
    assert.match(await said(), /all drawn/);
  });

  test('without its kinds the chart is nearly empty', async () => {
    await page.locator('#all').click();
    await page.waitForTimeout(300);
    const before = await inked();
    for (const box of await page.locator('input[data-kind]').all()) await box.uncheck();
    await page.waitForTimeout(300);
    assert.ok((await inked()) * 2 < before, 'turning everything off changes little');
  });

  test('it asked for nothing and complained of nothing', () => {
    assert.deepEqual(asked, []);
    assert.deepEqual(complaints, []);
  });
});
