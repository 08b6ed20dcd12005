"""The only package that imports Streamlit: state, controls and page frame."""
