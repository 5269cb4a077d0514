// Shows the value of a slider beside it, in the element that its data-shows names.
for (const slider of document.querySelectorAll('[data-shows]')) {
  slider.addEventListener('input', () => {
    document.getElementById(slider.dataset.shows).textContent = slider.value;
  });
}

// Sends a form with data-stay without leaving the page, so that what the server does not send back stays: the card. Without
// scripts it has to be typed again. While one is sent no other is.
document.addEventListener('submit', async (event) => {
  const form = event.target.closest('form[data-stay]');
  if (!form) return;
  event.preventDefault();
  if (form.ariaBusy) return;
  form.ariaBusy = 'true';
  try {
    const answer = await fetch(event.submitter?.getAttribute('formaction') || form.action, { method: 'POST', body: new URLSearchParams(new FormData(form, event.submitter)) });
    if (answer.redirected) {
      location.assign(answer.url);
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const field of form.querySelectorAll('[data-card]')) {
      const same = page.getElementById(field.id);
      if (same) same.value = field.value;
    }
    for (const part of ['main', '#cart-count']) document.querySelector(part).replaceWith(document.adoptNode(page.querySelector(part)));
    (document.querySelector('[aria-invalid]') ?? document.querySelector('main')).focus();
  } catch {
    form.submit(); // the browser says what is wrong
  }
});

// Asks for the total again when somebody has changed what it depends on.
document.addEventListener('change', async (event) => {
  const form = event.target.closest('form[data-stay]');
  if (!form || !event.target.matches('[data-price]')) return;
  const data = new FormData(form);
  for (const field of form.querySelectorAll('[data-card]')) data.delete(field.name);
  const answer = await fetch(document.getElementById('update-total').formAction, { method: 'POST', body: new URLSearchParams(data) });
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  while (document.querySelector('#quote:active')) await new Promise((pass) => setTimeout(pass, 50)); // a button is pressed
  const quote = page.getElementById('quote'), shown = document.getElementById('quote'), focus = document.activeElement?.id;
  if (!quote || form.ariaBusy || quote.outerHTML === shown?.outerHTML) return;
  shown?.replaceWith(document.adoptNode(quote));
  if (focus) document.getElementById(focus)?.focus();
});

// A page that the back button has kept may show a cart that was ordered meanwhile.
window.addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
