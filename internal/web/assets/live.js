// Keeps a page fresh. The body's data-live names a stream of server-sent events; the data of an event is the id of an
// element, a line break, and the element's new contents. What somebody fills in or has selected is left alone meanwhile;
// what has the focus, is opened or is scrolled stays so.
(() => {
  'use strict';
  const path = document.body.dataset.live;
  if (!path || !window.EventSource) return;
  const status = document.getElementById('stream');
  const latest = new Map();
  let source, again;

  // While a button or a key is down nothing changes: what is let go of is what was pressed.
  let pressed = false;
  const down = ['pointerdown', 'keydown'], up = ['pointerup', 'pointercancel', 'keyup', 'blur'];
  for (const type of [...down, ...up]) {
    window.addEventListener(type, () => { pressed = down.includes(type); }, true);
  }

  const changed = (field) => {
    if (field.type === 'radio' || field.type === 'checkbox') return field.checked !== field.defaultChecked;
    if (field.options) return field.selectedIndex !== Math.max([...field.options].findIndex((option) => option.defaultSelected), 0);
    return field.value !== field.defaultValue;
  };

  const busy = (element) => {
    const selection = document.getSelection();
    return [...element.querySelectorAll('input:not([type="hidden"]), textarea, select')].some(changed)
      || element.querySelector('input:focus, select:focus, textarea:focus')
      || selection && !selection.isCollapsed && element.contains(selection.anchorNode);
  };

  // The selector of something in an element, by what names it and what it lies in. New contents are searched with it.
  const selectorOf = (thing, element) => {
    const steps = [];
    for (let e = thing; e !== element; e = e.parentElement) {
      const name = ['id', 'href', 'aria-label'].find((attribute) => e.hasAttribute(attribute));
      if (name) steps.unshift(`${e.localName}[${name}="${CSS.escape(e.getAttribute(name))}"]`);
      else if (e === thing) steps.unshift(e.localName);
    }
    return steps.join(' ');
  };

  // Remembers what people have done to the contents of an element, and returns what does it to the new ones.
  const remember = (element) => {
    const again = [];
    const keep = (thing, act) => again.push([selectorOf(thing, element), act]);
    for (const details of element.querySelectorAll('details[open]')) keep(details, (same) => { same.open = true; });
    for (const scrolled of element.querySelectorAll('.scroll')) {
      const { scrollLeft: left, scrollTop: top } = scrolled;
      if (left || top) keep(scrolled, (same) => same.scrollTo({ left, top, behavior: 'instant' }));
    }
    const active = document.activeElement;
    if (active !== element && element.contains(active)) keep(active, (same) => same.focus({ preventScroll: true }));
    return () => {
      for (const [selector, act] of again) {
        const same = element.querySelector(selector);
        if (same) act(same);
      }
    };
  };

  const show = (id, html) => {
    const element = document.getElementById(id);
    if (!element || latest.get(id) !== html) return;
    if (pressed || busy(element)) {
      setTimeout(show, 250, id, html);
      return;
    }
    const again = remember(element);
    element.innerHTML = html;
    again();
  };

  const say = (text, state) => {
    if (!status) return;
    status.textContent = text;
    status.dataset.state = state;
  };

  const close = () => {
    clearTimeout(again);
    if (source) source.close();
  };

  const open = () => {
    close();
    source = new EventSource(path);
    source.onopen = () => say('live', 'open');
    source.onmessage = (event) => {
      const cut = event.data.indexOf('\n');
      const id = event.data.slice(0, cut), html = event.data.slice(cut + 1);
      if (latest.get(id) === html) return; // sent again after a break
      latest.set(id, html);
      show(id, html);
    };
    source.onerror = () => {
      say('reconnecting…', 'lost');
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 5000);
    };
  };

  // A page that nobody sees gives its connection back: browsers have few for one site.
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  if (!document.hidden) open();
})();
