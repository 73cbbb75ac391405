// Chance that can be repeated: the same seed throws the same numbers on every machine.
export class Dice {
  constructor(seed) { this.state = seed >>> 0; }

  // 0 <= number < n (mulberry32)
  int(n) {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
  }

  chance(percent) { return this.int(100) < percent; }
  pick(list) { return list[this.int(list.length)]; }
  // An item, made if it is a function of the dice.
  roll(list) { const item = this.pick(list); return typeof item === 'function' ? item(this) : item; }
  times(least, most, make) { return Array.from({ length: least + this.int(most - least + 1) }, (_, i) => make(i)); }
  // The first list mostly, the others seldom.
  mostly(percent, common, rare) { return this.roll(this.chance(percent) ? common : rare); }
}
