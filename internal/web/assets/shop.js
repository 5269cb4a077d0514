// Shows the value of a slider beside it, in the element that its data-shows names.
for (const slider of document.querySelectorAll('[data-shows]')) {
  slider.addEventListener('input', () => {
    document.getElementById(slider.dataset.shows).textContent = slider.value;
  });
}
